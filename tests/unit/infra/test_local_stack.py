from infra.local_stack import without_resources


def test_the_list_that_chalice_ends_with_is_left_out() -> None:
    lines = [
        "  Creating lambda function: rollcall-dev",
        "  Resources deployed:",
        "    - Lambda ARN: arn:aws:lambda:us-east-1:123456789012:function:rollcall-dev",
        "    - Rest API URL: https://abc.execute-api.us-east-1.amazonaws.com/dev/",
        "deployed: http://127.0.0.1:1/dev",
    ]
    said: list[str] = []
    say = without_resources(said.append)
    for line in lines:
        say(line)
    assert said == [lines[0], lines[-1]]
