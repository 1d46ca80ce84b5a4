"""What lies in dist/ is one whole build, never parts of two."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from generator.output import write
from generator.problems import BuildError
from templates.config import Settings, load

DELIVERED = Path(__file__).parents[3] / "deployment.toml"
SERVICE = json.dumps(
    {
        "Resources": {
            "Check": {
                "Type": "AWS::Route53::HealthCheck",
                "Properties": {"HealthCheckConfig": {"RequestInterval": 10, "FailureThreshold": 3}},
            },
            "Record": {
                "Type": "AWS::Route53::RecordSet",
                "Properties": {"Failover": "PRIMARY", "AliasTarget": {}},
            },
        }
    }
)
TEXTS = {"service": SERVICE, "root": '{"Resources":{}}'}


@pytest.fixture
def settings() -> Settings:
    return load(DELIVERED, None, {})


def zips(folder: Path, *names: str) -> dict[str, Path]:
    for name in names:
        (folder / name).write_text(name)
    return {name.split("-")[0]: folder / name for name in names}


def content(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_the_manifest_is_the_contract(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path / "dist", TEXTS, {}, settings)
    manifest = json.loads((tmp_path / "dist" / "build.json").read_text())
    tools = manifest["versions"].pop("tools")
    assert set(tools) == {"aws-sam-cli", "awacs", "cloudformation-validate", "troposphere"}
    assert manifest == {
        "service": "payments",
        "environment": "prod",
        "regions": {"primary": "us-east-1", "secondary": "us-east-2", "witness": "us-west-2"},
        "objectives": {"rpo_minutes": 15, "rto_minutes": 30},
        "failover": {"automatic": True},
        "worst_case_rto_seconds": {"to_secondary": 90, "to_primary": 120},
        "versions": {"engine": "14.6", "runtime": "python3.11", "architecture": "arm64"},
        "templates": {
            name: {
                "bytes": len(text),
                "resources": len(json.loads(text)["Resources"]),
                "sha256": sha256(text.encode()).hexdigest(),
            }
            for name, text in TEXTS.items()
        },
    }


def test_an_earlier_build_goes_as_a_whole(tmp_path: Path, settings: Settings) -> None:
    out = tmp_path / "dist"
    write(out, {**TEXTS, "old": '{"Resources":{}}'}, zips(tmp_path, "service-1.zip"), settings)
    write(out, TEXTS, zips(tmp_path, "service-2.zip"), settings)
    assert content(out) == {"build.json", "root.json", "service.json", "functions/service-2.zip"}
    assert {path.name for path in tmp_path.iterdir()} == {"dist", "service-1.zip", "service-2.zip"}


def test_a_failure_leaves_the_earlier_build(tmp_path: Path, settings: Settings) -> None:
    out = tmp_path / "dist"
    write(out, TEXTS, {}, settings)
    with pytest.raises(
        BuildError, match=r"gone\.zip: No such file or directory; make it writable, or use --out"
    ):
        write(out, {**TEXTS, "new": '{"Resources":{}}'}, {"service": tmp_path / "gone.zip"}, settings)
    assert content(out) == {"build.json", "root.json", "service.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["dist"]


def test_a_directory_that_is_no_build_is_left_alone(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to-mother.txt").write_text("dear")
    with pytest.raises(BuildError) as raised:
        write(tmp_path / "letters", TEXTS, {}, settings)
    assert str(raised.value) == (
        f"{tmp_path / 'letters'}: is not the output of a build; name another place with --out"
    )
    assert content(tmp_path) == {"letters/to-mother.txt"}


def test_an_empty_directory_will_do(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty", TEXTS, {}, settings)
    assert "root.json" in content(tmp_path / "empty")


def test_the_way_there_is_made(tmp_path: Path, settings: Settings) -> None:
    write(tmp_path / "a" / "b", TEXTS, {}, settings)
    assert "root.json" in content(tmp_path / "a" / "b")
