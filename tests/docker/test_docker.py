"""The container files, checked without an engine: a small linter, and the structure of compose."""

import ast
import fnmatch
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest
import yaml

from curate.pipeline.cli import main

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text()
COMPOSE = (ROOT / "docker/compose.yaml").read_text()
SCRIPT = ROOT / "docker/on-ray.sh"
DEFAULT = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}")


def instructions(text=DOCKERFILE):
    """Yield (instruction, rest) with continued lines joined and comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        if line.strip():
            yield tuple(line.strip().split(None, 1))


def targets():
    """Return stage name -> (base, its instructions), in order."""
    found, name = {}, None
    for what, rest in instructions():
        if what == "FROM":
            base, _, name = rest.partition(" AS ")
            found[name] = (base, [])
        else:
            found[name][1].append((what, rest))
    return found


def lineage(name):
    """Return the instructions that make a target, those of its bases first."""
    made = []
    while name in targets():
        name, own = targets()[name]
        made = own + made
    return made


def compose(text=COMPOSE, **environment):
    """Return the compose file with its variables filled in."""
    fill = lambda match: environment.get(match[1], match[2] or "")  # noqa: E731
    return yaml.safe_load(DEFAULT.sub(fill, text))


# ---------------------------------------------------------------- Dockerfile


def test_base_images_are_pinned():
    bases = {base for base, _ in targets().values()} - set(targets())
    assert bases
    for base in bases:
        assert re.fullmatch(r"[a-z/]+:\d+\.\d+\.\d+[\w.-]*", base), f"{base} is not pinned"
        assert "latest" not in base
        assert "." not in base.split(":")[0], "no registry but Docker Hub is named"


def test_the_python_of_the_image_is_one_that_the_package_allows():
    asked = re.search(r'requires-python = ">=(\d+)\.(\d+)"', (ROOT / "pyproject.toml").read_text())
    least = tuple(map(int, asked.groups()))
    for base, _ in targets().values():
        if base.startswith("python:"):
            assert tuple(map(int, re.match(r"python:(\d+)\.(\d+)", base).groups())) >= least


def test_there_are_two_targets_and_the_last_is_the_cpu():
    assert list(targets())[-1] == "cpu"
    assert targets()["gpu"][0] == targets()["cpu"][0] == "base"


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_a_target_runs_as_a_user_and_says_how_it_is(target):
    made = lineage(target)
    users = [rest for what, rest in made if what == "USER"]
    assert users[-1] == "1000:1000"
    order = [what for what, _ in made]
    assert order.index("USER") > max(i for i, what in enumerate(order) if what == "RUN")
    assert "HEALTHCHECK" in order
    assert dict(made)["ENTRYPOINT"] == '["curate"]'


def test_packages_are_installed_cleanly():
    for what, rest in instructions():
        if what != "RUN":
            continue
        assert "sudo" not in rest
        if "apt-get install" in rest:
            assert "--no-install-recommends" in rest
            assert "rm -rf /var/lib/apt/lists" in rest
        if re.search(r"\bpip (install|wheel)\b", rest):
            assert "--no-cache-dir" in rest
        assert not re.search(r"https?://", rest), "no registry host is named"


def test_every_instruction_is_known_and_add_is_not_used():
    known = {"FROM", "ARG", "ENV", "RUN", "COPY", "WORKDIR", "USER"}
    known |= {"ENTRYPOINT", "CMD", "HEALTHCHECK"}
    assert {what for what, _ in instructions()} <= known


def test_commands_are_lists():
    for what, rest in instructions():
        if what in ("CMD", "ENTRYPOINT"):
            assert isinstance(ast.literal_eval(rest), list)
        if what == "HEALTHCHECK":
            assert isinstance(ast.literal_eval(rest.split("CMD ")[1]), list)


def copies():
    """Yield (sources, destination) of each COPY from the repository."""
    for what, rest in instructions():
        words = [word for word in shlex.split(rest) if not word.startswith("--")]
        if what == "COPY" and "--from" not in rest:
            yield words[:-1], words[-1]


def test_what_is_copied_exists_and_is_not_ignored():
    for sources, _ in copies():
        for source in sources:
            assert (ROOT / source).exists(), source
            assert not ignored(source), f".dockerignore leaves out {source}"


def ignored(path):
    """Say whether .dockerignore leaves a path out: the last rule that fits decides."""
    out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        keep, pattern = line.startswith("!"), line.lstrip("!")
        steps = Path(path).parts
        heads = ["/".join(steps[: i + 1]) for i in range(len(steps))]
        fits = any(fnmatch.fnmatchcase(head, pattern) for head in heads)
        if pattern.startswith("**/"):
            fits = any(fnmatch.fnmatchcase(step, pattern[3:]) for step in steps)
        out = not keep if fits else out
    return out


@pytest.mark.parametrize(
    "path",
    [
        *(".git/config", "tests/x.py", "demo/out/a", ".venv/bin/python", "docker/compose.yaml"),
        *("manifests/__pycache__/a.pyc", "curate_pairs.egg-info/PKG-INFO", "benchmarks/run.py"),
    ],
)
def test_nothing_else_is_sent_to_the_builder(path):
    assert ignored(path)


def test_the_wheel_stage_holds_what_the_package_lists():
    project = (ROOT / "pyproject.toml").read_text()
    folders = set(re.findall(r'"curate\.(\w+)"', project))
    copied = {Path(source).parts[0] for sources, _ in copies() for source in sources}
    assert folders <= copied
    for name in re.findall(r'(?:readme = |license-files = \[)"(\w+(?:\.\w+)?)"', project):
        assert name in copied


def test_commands_of_the_build_and_the_start_exist():
    installed = {Path(dest).name for _, dest in copies() if dest.startswith("/usr/local/bin/")}
    scripts = set(re.findall(r'^(\w+) = "curate\.', (ROOT / "pyproject.toml").read_text(), re.M))
    known = installed | scripts | {"ray"}
    entries = [service["entrypoint"][0] for service in compose()["services"].values()]
    entries.append(ast.literal_eval(dict(lineage("cpu"))["ENTRYPOINT"])[0])
    health = dict(lineage("cpu"))["HEALTHCHECK"].split("CMD ")[1]
    entries.append(ast.literal_eval(health)[0])
    assert set(entries) <= known


def test_an_extra_index_is_used_only_when_given(tmp_path):
    (rest,) = [rest for what, rest in targets()["cpu"][1] if what == "RUN"]
    command = re.sub(r"--mount=\S+\s+", "", rest)
    assert command.startswith("pip install")
    fake = tmp_path / "pip"
    fake.write_text('#!/bin/sh\nfor word in "$@"; do echo "[$word]"; done\n')
    fake.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "EXTRAS": "s3"}
    for given, wanted in (("", []), ("https://x/y", ["[--extra-index-url]", "[https://x/y]"])):
        words = sh(command, path | {"EXTRA_INDEX_URL": given}).stdout.split()
        assert words[2:-1] == wanted
        assert words[-1].endswith("[s3]]")


def sh(command, environment, check=True):
    return subprocess.run(
        ["sh", "-c", command], env=environment, capture_output=True, text=True, check=check
    )


# ---------------------------------------------------------------- compose


@pytest.fixture
def services():
    return compose()["services"]


def test_a_head_workers_and_a_job(services):
    assert set(services) == {"head", "worker", "worker-gpu", "curate"}
    assert services["curate"]["profiles"] == ["job"], "`up` starts the cluster, not a job"
    assert services["worker-gpu"]["profiles"] == ["gpu"]


@pytest.mark.parametrize("name", ["head", "worker", "worker-gpu", "curate"])
def test_every_node_shares_folders_token_and_network(services, name):
    node = services[name]
    environment = node["environment"]
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/ray_token"
    assert node["secrets"] == ["ray_token"]
    assert node["networks"] == ["ray"]
    assert [volume.split(":")[1] for volume in node["volumes"]] == ["/corpus", "/out"]
    assert node["volumes"][0].endswith(":ro")
    assert node["shm_size"] == "512m"
    assert node["init"] is True
    assert not node["user"].startswith("0")
    assert "ports" not in node, "an open Ray port is remote code execution"
    assert "privileged" not in node


def test_the_token_comes_from_the_environment_and_stands_nowhere():
    assert compose()["secrets"] == {"ray_token": {"environment": "CURATE_RAY_TOKEN"}}
    assert "CURATE_RAY_TOKEN:-" not in COMPOSE
    assert "RAY_AUTH_TOKEN:" not in COMPOSE


def test_nodes_wait_until_the_head_is_healthy(services):
    assert "healthcheck" in services["head"]
    for name in ("worker", "worker-gpu", "curate"):
        assert services[name]["depends_on"]["head"] == {"condition": "service_healthy"}


def test_nodes_find_the_head_at_its_port(services):
    start = services["head"]["entrypoint"] + services["head"]["command"]
    port = next(word.split("=")[1] for word in start if word.startswith("--port="))
    address = f"head:{port}"
    assert services["curate"]["environment"]["RAY_ADDRESS"] == address
    for name in ("worker", "worker-gpu"):
        assert f"--address={address}" in services[name]["entrypoint"]
        assert services[name]["healthcheck"]["test"][-1] == address
    assert services["head"]["healthcheck"]["test"][-1] == address


def test_workers_can_be_scaled(services):
    assert "container_name" not in services["worker"]
    assert "hostname" not in services["worker"]
    assert "--num-cpus=0" in services["head"]["entrypoint"], "the head only coordinates"
    scaled = compose(CURATE_WORKER_CPUS="6")["services"]["worker"]
    assert "--num-cpus=6" in scaled["command"]


def test_ray_knows_the_options(services):
    start = pytest.importorskip("ray.scripts.scripts").start
    known = {name for option in start.params for name in (*option.opts, *option.secondary_opts)}
    for name in ("head", "worker", "worker-gpu"):
        words = services[name]["entrypoint"] + services[name]["command"]
        assert words[:2] == ["ray", "start"]
        assert {word.split("=")[0] for word in words[2:]} <= known
    words = set(re.findall(r"--[\w-]+", SCRIPT.read_text()))
    assert words <= known


def test_the_job_is_a_command_that_curate_has(services):
    name, *arguments = services["curate"]["command"]
    command = main.get_command(click.Context(main), name)
    parsed = command.make_context(name, list(arguments)).params
    assert (parsed["target"], parsed["out"], parsed["ray"]) == ("/corpus", "/out", "auto")


def test_images_and_targets_agree():
    for target in ("cpu", "gpu"):
        node = compose(CURATE_TARGET=target)["services"]["worker"]
        assert node["image"] == f"curate-pairs:{target}"
        assert node["build"]["target"] == target
        assert target in targets()
    asked = set(compose()["services"]["worker"]["build"]["args"])
    assert asked == {rest.split("=")[0] for what, rest in lineage("cpu") if what == "ARG"}
    build = compose()["services"]["worker"]["build"]
    assert (ROOT / "docker" / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).exists()


# ---------------------------------------------------------------- on-ray.sh


def fake(folder, name, code=0):
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >> "$LOG"\nexit {code}\n')
    path.chmod(0o755)


@pytest.mark.parametrize("code", [0, 3])
def test_the_script_joins_then_runs_and_keeps_the_exit_code(tmp_path, code):
    fake(tmp_path, "ray")
    fake(tmp_path, "curate", code)
    log = tmp_path / "log"
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(log)}
    environment["RAY_ADDRESS"] = "head:6379"
    done = sh(f"{shlex.quote(str(SCRIPT))} run '/a b' --ray auto", environment, check=False)
    joined, ran = log.read_text().splitlines()
    assert done.returncode == code
    assert joined.startswith("ray start --address=head:6379 --num-cpus=0 --num-gpus=0")
    assert ran == "curate run /a b --ray auto"


def test_the_script_stops_when_it_cannot_join(tmp_path):
    fake(tmp_path, "ray", 1)
    fake(tmp_path, "curate")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(tmp_path / "log")}
    missing = sh(shlex.quote(str(SCRIPT)), environment, check=False)
    assert missing.returncode != 0
    assert "RAY_ADDRESS: set it to host:port" in missing.stderr
    refused = sh(shlex.quote(str(SCRIPT)), environment | {"RAY_ADDRESS": "x:1"}, check=False)
    assert refused.returncode == 1
    assert "curate" not in (tmp_path / "log").read_text()


def test_the_script_can_be_run():
    assert os.access(SCRIPT, os.X_OK)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(SCRIPT)], check=True)


# ---------------------------------------------------------------- README


def test_the_readme_names_what_is_there():
    text = (ROOT / "docker/README.md").read_text()
    variables = {name for name, _ in DEFAULT.findall(COMPOSE)} | {"CURATE_RAY_TOKEN"}
    assert all(f"`{name}`" in text or f"{name}=" in text for name in variables)
    used = {name for name in re.findall(r"`([A-Z_]{4,})`", text) if name.startswith("CURATE_")}
    assert used <= variables
    for name in re.findall(r"docker/[\w.-]+", text):
        assert (ROOT / name).exists(), name
