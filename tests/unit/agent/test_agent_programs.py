from __future__ import annotations

import sys

from rollcall_agent.programs import NOT_FOUND, TOO_SLOW, Programs, clean_environment


def test_a_program_tells_its_code_and_both_of_its_streams() -> None:
    script = "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(3)"
    ran = Programs({}).run([sys.executable, "-c", script])
    assert (ran.code, ran.output.split()) == (3, ["out", "err"])


def test_a_program_that_is_not_there_is_an_outcome_like_another() -> None:
    assert Programs({"PATH": "/nowhere"}).run(["no-such-program"]).code == NOT_FOUND


def test_a_program_that_hangs_is_ended() -> None:
    waits = [sys.executable, "-c", "import time; time.sleep(60)"]
    assert Programs({}, seconds=0.2).run(waits).code == TOO_SLOW


def test_other_programs_do_not_load_the_libraries_of_the_one_file_build() -> None:
    loaded = {
        "PATH": "/bin",
        "LD_LIBRARY_PATH": "/unpacked/_MEI1",
        "LD_LIBRARY_PATH_ORIG": "/opt/lib",
        "DYLD_LIBRARY_PATH": "/unpacked/_MEI1",
        "_PYI_ARCHIVE_FILE": "/usr/local/bin/rollcall-agent",
        "_MEIPASS2": "/unpacked/_MEI1",
    }
    assert clean_environment(loaded) == {
        "PATH": "/bin",
        "LD_LIBRARY_PATH": "/opt/lib",
        "PYINSTALLER_RESET_ENVIRONMENT": "1",
    }


def test_a_path_of_libraries_that_a_person_set_is_kept() -> None:
    assert clean_environment({"LD_LIBRARY_PATH": "/opt/lib"})["LD_LIBRARY_PATH"] == "/opt/lib"
