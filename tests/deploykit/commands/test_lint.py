"""``deploykit lint`` as people and machines call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from click.testing import CliRunner, Result

from deploykit.cli.main import door, run
from deploykit.rules._rule import PROFILE
from tests.deploykit.rules.linting import write

BAD = PROFILE.replace("SCHEDULE_POLL_INTERVAL_MS: 3600000", "SCHEDULE_POLL_INTERVAL_MS: 1h").replace(
    "SCHEDULE_DAEMON_ENABLED: false", "SCHEDULE_DAEMON_ENABLED: true"
)
PATH = "profiles/example.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, {PATH: BAD})
    return tmp_path


def deploykit(*args: str | Path, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(door, [str(each) for each in args], input=stdin, standalone_mode=False)


def status(result: Result) -> int:
    return int(result.return_value or 0)


def test_an_error_ends_with_1_and_shows_the_token(folder: Path) -> None:
    result = deploykit("lint", folder)
    assert status(result) == 1
    assert "profiles/example.yaml:17:32" in result.stdout
    assert "       SCHEDULE_DAEMON_ENABLED: true\n" in result.stdout
    assert "^^^^" in result.stdout


def test_a_clean_folder_ends_with_0(tmp_path: Path) -> None:
    write(tmp_path, {PATH: PROFILE})
    result = deploykit("lint", tmp_path)
    assert status(result) == 0
    assert "No findings in 1 file." in result.stdout


def test_an_empty_folder_says_what_to_do_next(tmp_path: Path) -> None:
    result = deploykit("lint", tmp_path)
    assert status(result) == 0
    assert "deploykit init" in result.stdout


def test_no_line_is_longer_than_80_columns(folder: Path) -> None:
    result = deploykit("lint", folder)
    assert max(len(line) for line in result.stdout.splitlines()) <= 80


def test_json_has_the_shape_of_the_contract(folder: Path) -> None:
    result = deploykit("lint", folder, "--format", "json")
    value = json.loads(result.stdout)
    assert value["schema"] == "deploykit.lint/1"
    first = next(finding for finding in value["findings"] if finding["code"] == "DK202")
    assert first["severity"] == "error"
    assert (first["path"], first["service"], first["variable"]) == (
        PATH,
        "schedule-daemon",
        "SCHEDULE_POLL_INTERVAL_MS",
    )
    line = BAD.split("\n")[first["line"] - 1]
    assert line[first["column"] - 1 : first["end_column"] - 1] == "1h"
    assert first["fix"]["safe"] is True
    assert first["fix"]["edits"][0]["text"] == "3600000"
    assert value["summary"]["errors"] == 2
    assert value["summary"]["files"] == 1
    assert {entry["code"] for entry in value["skipped"]}.issuperset({"DK006"})


def test_sarif_is_valid_by_its_official_schema(folder: Path) -> None:
    value = json.loads(deploykit("lint", folder, "--format", "sarif").stdout)
    schema = json.loads((Path(__file__).parents[1] / "report" / "sarif-2.1.0.json").read_text("utf-8"))
    jsonschema.validators.validator_for(schema)(schema).validate(value)
    assert {result["ruleId"] for result in value["runs"][0]["results"]} == {"DK101", "DK202"}


def test_github_annotations_and_summary(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    lines = deploykit("lint", folder, "--format", "github").stdout.splitlines()
    assert lines[0].startswith("::error file=profiles/example.yaml,line=17,endLine=17,col=32,endColumn=36,title=")
    assert "| error | DK101 | `profiles/example.yaml:17:32` |" in summary.read_text("utf-8")


def test_gitlab_fingerprints_are_unique(folder: Path) -> None:
    entries = json.loads(deploykit("lint", folder, "--format", "gitlab").stdout)
    assert len({entry["fingerprint"] for entry in entries}) == len(entries) == 2
    assert {entry["severity"] for entry in entries} == {"critical"}


def test_junit_counts_failures(folder: Path) -> None:
    top = ElementTree.fromstring(deploykit("lint", folder, "--format", "junit").stdout)
    assert top.get("failures") == "2"
    assert [case.get("name") for case in top.iter("testcase")] == ["DK101 17:32", "DK202 31:34"]


def test_concise_is_one_line_a_finding(folder: Path) -> None:
    lines = deploykit("lint", folder, "--format", "concise").stdout.splitlines()
    assert [line.split(":")[0:3] for line in lines] == [[PATH, "17", "32"], [PATH, "31", "34"]]


def test_the_order_is_the_same_every_time(folder: Path) -> None:
    outputs = {deploykit("lint", folder, "--format", "json").stdout for _ in range(3)}
    assert len(outputs) == 1


def test_fix_makes_the_safe_fixes_only(folder: Path) -> None:
    result = deploykit("lint", folder, "--fix")
    text = (folder / PATH).read_text("utf-8")
    assert "SCHEDULE_POLL_INTERVAL_MS: 3600000" in text
    assert text.count("SCHEDULE_DAEMON_ENABLED: true") == 2
    assert status(result) == 1
    assert "1 finding fixed." in result.stdout


def test_unsafe_fixes_end_clean_and_change_nothing_else(folder: Path) -> None:
    result = deploykit("lint", folder, "--fix", "--unsafe-fixes")
    assert status(result) == 0
    assert (folder / PATH).read_text("utf-8") == PROFILE


def test_fixes_keep_line_endings_mark_and_rights(tmp_path: Path) -> None:
    write(tmp_path, {PATH: "\ufeff" + BAD.replace("\n", "\r\n")})
    (tmp_path / PATH).chmod(0o640)
    deploykit("lint", tmp_path, "--fix", "--unsafe-fixes")
    assert (tmp_path / PATH).read_bytes() == ("\ufeff" + PROFILE.replace("\n", "\r\n")).encode()
    assert (tmp_path / PATH).stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in (tmp_path / "profiles").iterdir()) == ["example.yaml"]


def test_diff_shows_and_changes_nothing(folder: Path) -> None:
    result = deploykit("lint", folder, "--diff", "--unsafe-fixes")
    assert status(result) == 1
    assert "+      SCHEDULE_POLL_INTERVAL_MS: 3600000" in result.stdout
    assert (folder / PATH).read_text("utf-8") == BAD


def test_a_secret_is_never_printed(tmp_path: Path) -> None:
    secret = "9f2c8a41d7e64b0fa1"
    write(
        tmp_path, {PATH: PROFILE.replace("NODE_ENV: production", f"NODE_ENV: production\n      JWT_SECRET: {secret}")}
    )
    for form in ("text", "json", "concise", "github", "gitlab", "sarif", "junit"):
        result = deploykit("lint", tmp_path, "--format", form)
        assert "JWT_SECRET" in result.stdout
        assert secret not in result.stdout + result.stderr
    assert secret not in deploykit("lint", tmp_path, "--diff", "--unsafe-fixes").stdout


def test_standard_input_is_linted_under_its_name(folder: Path) -> None:
    result = deploykit("--project-dir", folder, "lint", "-", "--stdin-filename", PATH, "--format", "json", stdin=BAD)
    found = json.loads(result.stdout)["findings"]
    assert {finding["path"] for finding in found} == {PATH}
    assert {finding["code"] for finding in found} == {"DK101", "DK202"}


def test_standard_input_can_be_mended(folder: Path) -> None:
    result = deploykit(
        *("--project-dir", folder, "lint", "-", "--stdin-filename", PATH, "--fix", "--unsafe-fixes"), stdin=BAD
    )
    assert result.stdout == PROFILE
    assert (folder / PATH).read_text("utf-8") == BAD


def test_one_file_is_linted_with_its_base(tmp_path: Path) -> None:
    write(
        tmp_path,
        {PATH: PROFILE, "profiles/more.yaml": "version: 1\nname: more\nextends: example\nenvironment: staging\n"},
    )
    result = deploykit("--project-dir", tmp_path, "lint", tmp_path / "profiles/more.yaml")
    assert status(result) == 0, result.stdout


def test_a_baseline_hides_what_was_there_and_shows_what_is_new(folder: Path) -> None:
    baseline = folder / "baseline.json"
    assert status(deploykit("lint", folder, "--baseline", baseline, "--update-baseline")) == 0
    assert status(deploykit("lint", folder, "--baseline", baseline)) == 0
    text = "# moved down\n" + BAD.replace("JOB_WORKER_POLL_INTERVAL_MS: 30000", "JOB_WORKER_POLL_INTERVAL_MS: 30")
    write(folder, {PATH: text})
    result = deploykit("lint", folder, "--baseline", baseline, "--format", "concise")
    assert status(result) == 1
    assert [line.split()[1] for line in result.stdout.splitlines()] == ["DK201"]


def test_exit_zero_and_statistics(folder: Path) -> None:
    result = deploykit("lint", folder, "--exit-zero", "--statistics")
    assert status(result) == 0
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [["1", "DK101"], ["1", "DK202"]]


def test_the_result_can_go_to_a_file(folder: Path, tmp_path: Path) -> None:
    result = deploykit("lint", folder, "--format", "json", "--output-file", tmp_path / "out.json")
    assert result.stdout == ""
    assert json.loads((tmp_path / "out.json").read_text("utf-8"))["schema"] == "deploykit.lint/1"


@pytest.mark.parametrize(
    "args",
    [
        ["lint", "no-such-path"],
        ["lint", "--select", "DK999"],
        ["lint", "--ignore", "nonsense"],
        ["lint", "--no-such-option"],
        ["lint", "--format", "xml"],
        ["lint", "--update-baseline"],
        ["lint", "--stdin-filename", "x.yaml"],
        ["lint", "--baseline", "no-such-baseline.json"],
        ["explain", "DK999"],
    ],
)
def test_wrong_usage_ends_with_64(
    args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(args) == 64
    assert "error" in capsys.readouterr().err


def test_a_file_that_git_ignores_belongs_to_a_laptop(tmp_path: Path) -> None:
    write(tmp_path, {".gitignore": ".env\n", ".env": "NODE_ENV=development\nJWT_SECRET=9f2c8a41d7e64b0fa1\n"})
    for repository in (False, True):
        if repository:
            subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
        found = json.loads(deploykit("lint", tmp_path, "--format", "json").stdout)["findings"]
        codes = {finding["code"] for finding in found}
        assert not codes & {"DK406", "DK410"}


HOSTILE = {
    "nul.yaml": b"version: 1\0\nservices: {}\n",
    "latin.yaml": "version: 1\nname: caf\u00e9\n".encode("latin-1"),
    "utf16.yaml": "version: 1\nname: x\n".encode("utf-16"),
    "empty.yaml": b"",
    "comment.yaml": b"# nothing\n",
    "list.yaml": b"- 1\n- 2\n",
    "bomb.yaml": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % ((98 + i, 98 + i) + (97 + i,) * 8) for i in range(8)),
    "deep.yaml": b"[" * 20_000,
    "blocks.yaml": b"".join(b" " * i + b"a:\n" for i in range(500)),
    "self.yaml": b"version: 1\nservices: &a\n  web: *a\n",
    "large.yaml": b"# " + b"x" * 10_000_000,
    "wide.yaml": b"version: 1\nservices: {web: {role: web, env: {" + b"A: b, " * 20_000 + b"}}}\n",
    "number.yaml": b"version: 1\nname: x\nservices: {w: {role: web, replicas: " + b"9" * 5_000 + b"}}\n",
    "tags.yaml": b"version: !!python/object:os.system 1\nname: !x {a: b}\nservices: !secret\n",
    "circle.yaml": b"version: 1\nname: circle\nextends: circle\n",
    "surrogate.yaml": b'version: 1\nname: "\\ud800"\nservices: {w: {role: web, env: {A: "\\ud800"}}}\n',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_end_in_a_clear_finding(name: str, tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / name).write_bytes(HOSTILE[name])
    result = deploykit("lint", tmp_path, "--format", "json")
    assert result.exception is None, result.exception
    findings = json.loads(result.stdout)["findings"]
    assert any(finding["severity"] == "error" for finding in findings)
    assert all(finding["path"] == f"profiles/{name}" for finding in findings)


def test_lint_of_a_sound_profile_loads_nothing_heavy(tmp_path: Path) -> None:
    write(tmp_path, {PATH: PROFILE})
    program = (
        "import sys\nfrom deploykit.cli.main import run\nrun(['lint', sys.argv[1]])\n"
        "sys.exit(', '.join({'pydantic', 'jinja2', 'rich', 'httpx2', 'graphql', 'pymysql'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False, env=os.environ
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_folder_of_profiles_is_linted_whole(tmp_path: Path) -> None:
    heir = "version: 1\nname: more\nextends: example\nenvironment: staging\n"
    write(tmp_path, {PATH: PROFILE, "profiles/more.yaml": heir})
    value = json.loads(deploykit("lint", tmp_path / "profiles", "--format", "json").stdout)
    assert (value["summary"]["files"], value["findings"]) == (2, [])


def test_standard_input_without_a_name_is_a_profile(tmp_path: Path) -> None:
    result = deploykit("--project-dir", tmp_path, "lint", "-", "--format", "json", stdin=BAD)
    assert {finding["path"] for finding in json.loads(result.stdout)["findings"]} == {PATH}


def test_a_value_of_a_base_is_one_finding_where_it_is_written(tmp_path: Path) -> None:
    heir = "version: 1\nname: more\nextends: example\nenvironment: staging\n"
    base = PROFILE.replace("SCHEDULE_POLL_INTERVAL_MS: 3600000", "SCHEDULE_POLL_INTERVAL_MS: 3600")
    write(tmp_path, {PATH: base, "profiles/more.yaml": heir})
    found = json.loads(deploykit("lint", tmp_path, "--format", "json").stdout)["findings"]
    assert [(finding["code"], finding["path"]) for finding in found] == [("DK201", PATH)]
    assert ("profiles/more.yaml", 3) in [(each["path"], each["line"]) for each in found[0]["related"]]


def test_a_fix_leaves_an_anchor_where_it_is(tmp_path: Path) -> None:
    text = BAD.replace("SCHEDULE_POLL_INTERVAL_MS: 1h", "SCHEDULE_POLL_INTERVAL_MS: &hour 1h\n      ALSO: *hour")
    write(tmp_path, {PATH: text})
    deploykit("lint", tmp_path, "--fix")
    assert "SCHEDULE_POLL_INTERVAL_MS: &hour 3600000\n" in (tmp_path / PATH).read_text("utf-8")


def test_a_fix_goes_through_a_link_and_leaves_it(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "web.env").write_text("SCHEDULE_DAEMON_ENABLED=no\n")
    (tmp_path / "web.env").symlink_to("shared/web.env")
    deploykit("lint", tmp_path, "--fix")
    assert (tmp_path / "web.env").is_symlink()
    assert (tmp_path / "shared" / "web.env").read_text() == "SCHEDULE_DAEMON_ENABLED=false\n"


def test_a_file_that_is_none_of_ours_is_left_alone_even_by_name(tmp_path: Path) -> None:
    write(tmp_path, {"README.md": "# hello\n", "tsconfig.json": '{"a": 1}\n', "main.py": "print(1)\n"})
    for name in ("README.md", "tsconfig.json", "main.py"):
        result = deploykit("lint", tmp_path / name)
        assert (status(result), "DK0" in result.output) == (0, False)


def test_infrastructure_as_code_can_be_linted_from_its_own_folder(tmp_path: Path) -> None:
    text = 'service("web", { env: { SCHEDULE_POLL_INTERVAL_MS: "3600" } });\n'
    write(tmp_path, {".railway/railway.ts": text})
    for path in (tmp_path / ".railway", tmp_path / ".railway" / "railway.ts"):
        result = deploykit("--project-dir", tmp_path / ".railway", "lint", path, "--format", "concise")
        assert "railway.ts:1:52: DK201" in result.output
