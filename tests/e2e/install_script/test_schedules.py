"""What runs by the clock already is shown where it matches, and stays as it is."""

from __future__ import annotations

from tests.e2e.install_script.host import Host

PASSWORD = "canary-of-the-backup"
FILES = {
    "etc/crontab": f"# restic was here\n0 1 * * * root RESTIC_PASSWORD={PASSWORD} restic backup /\n"
    "0 2 * * * root logrotate\n",
    "etc/cron.d/backup": "5 4 * * * root restic forget\n",
    "etc/cron.daily/restic": "#!/bin/sh\nexec restic check\n",
    "var/spool/cron/crontabs/alice": "@daily restic -r rest:https://alice:"
    f"{PASSWORD}@host.example/ backup ~\n",
    "var/spool/cron/bob": "@daily nothing\n",
    "etc/systemd/system/nightly.timer": "[Timer]\nOnCalendar=daily\n",
    "etc/systemd/system/nightly.service": "[Service]\nExecStart=/usr/bin/restic backup /\n",
    "etc/systemd/system/restic-prune.timer": "[Timer]\nOnCalendar=weekly\n",
    "usr/lib/systemd/system/apt.timer": "[Timer]\nOnCalendar=daily\n",
}
SHOWN = ["etc/crontab:0 1", "cron.d/backup:5 4", "cron.daily/restic:exec", "crontabs/alice:@daily",
         "nightly.timer", "restic-prune.timer"]  # fmt: skip
NOT_SHOWN = ["logrotate", "bob", "apt.timer", "restic was here", PASSWORD]


def with_schedules(host: Host) -> Host:
    for path, content in FILES.items():
        host.write(path, content)
    return host


def test_matching_entries_and_timers_are_shown_and_not_touched(host: Host) -> None:
    with_schedules(host)
    result = host.install(ROLLCALL_SHOW_SCHEDULES="restic")
    assert result.returncode == 0, result.stderr
    shown = result.stdout.split("these schedules match 'restic'")[1]
    assert [part for part in SHOWN if part not in shown] == []
    assert [part for part in NOT_SHOWN if part in result.stdout] == []
    for path, content in FILES.items():
        assert (host.root / path).read_text() == content


SECRETS = [
    f'RESTIC_PASSWORD="a {PASSWORD}" restic backup /',
    f'RESTIC_PASSWORD="a \\" {PASSWORD}" restic backup /',
    f"Restic_Password='a {PASSWORD}' restic backup /",
    f'AWS_SECRET=a"b {PASSWORD}" restic backup /',
    f'restic --password-command "echo {PASSWORD}" backup /',
    f"restic --password-command='echo {PASSWORD}' backup /",
    f"restic --password {PASSWORD} backup /",
    f'restic --password="{PASSWORD} not closed',
]


def test_a_secret_is_masked_up_to_its_end_and_the_rest_is_shown(host: Host) -> None:
    host.write("etc/cron.d/backup", "".join(f"@daily root {line}\n" for line in SECRETS))
    shown = host.install(ROLLCALL_SHOW_SCHEDULES="restic").stdout
    assert PASSWORD not in shown
    assert shown.count("backup /") == len(SECRETS) - 1


def test_on_an_enrolled_host_they_are_shown_again(host: Host) -> None:
    assert host.install().returncode == 0
    with_schedules(host)
    again = host.install(token=None, ROLLCALL_SHOW_SCHEDULES="restic (backup|check)")
    assert "cron.daily/restic:exec restic check" in again.stdout
    assert "restic forget" not in again.stdout


def test_a_backup_fleets_address_looks_for_restic(host: Host) -> None:
    with_schedules(host)
    result = host.install(RM_SERVER=host.plane.url)
    assert "these schedules match 'restic'" in result.stdout


def test_nothing_is_looked_for_by_default_or_where_it_is_turned_off(host: Host) -> None:
    with_schedules(host)
    assert "schedules" not in host.install().stdout
    again = host.install(RM_SERVER=host.plane.url, ROLLCALL_SHOW_SCHEDULES="")
    assert "schedules" not in again.stdout


def test_a_pattern_that_is_none_is_refused_at_once(host: Host) -> None:
    result = host.install(ROLLCALL_SHOW_SCHEDULES="(")
    assert result.returncode == 2
    assert host.plane.asked == []


def test_control_characters_of_a_crontab_do_not_reach_the_terminal(host: Host) -> None:
    host.write("etc/crontab", "@daily root restic \x1b[2J\x07\n")
    assert "\x1b" not in host.install(ROLLCALL_SHOW_SCHEDULES="restic").stdout
