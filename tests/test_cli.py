"""The command as a newcomer meets it, and the border between the light and the heavy world."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from fruitcnn import __version__
from fruitcnn.cli import MODULES, command_line, main
from tests.conftest import REPOSITORY, Run
from tests.missing import without

HEAVY = ["torch", "torchvision", "keras", "lightning", "onnx", "onnxscript", "torchmetrics", "matplotlib", "pydantic",
         "yaml", "imagehash", "scipy", "sklearn", "rich", "tensorboard"]  # fmt: skip

# Of each kind that has to be converted, one.
OPTIONS = ["-f", "csv", "-k", "2", "--refuse-below", "0.5", "--threads", "1"]


def loaded_after(code: str, cwd: Path) -> set[str]:
    script = f"import sys\ntry:\n    exec({code!r})\nexcept SystemExit:\n    pass\nprint('\\n' + ' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize("command", ["identify", "info", "cache", "import"])
def test_the_light_world_never_imports_the_heavy_one(command: str, finished: Path, drawn: Path, tmp_path: Path) -> None:
    arguments = {
        "identify": ["identify", str(drawn), str(drawn / "none.jpg"), "--model", str(finished), *OPTIONS],
        "info": ["info", str(finished)],
        "cache": ["cache"],
    }
    code = (
        "from fruitcnn import Identifier, Identification, Rejection, ModelCard, FruitcnnError"
        if command == "import"
        else f"sys.argv = ['fruitcnn', *{arguments[command]!r}]\nfrom fruitcnn.cli import main\nmain()"
    )
    loaded = loaded_after(code, tmp_path)
    assert "fruitcnn" in loaded and ("PIL" in loaded) == (command != "cache")
    assert loaded & set(HEAVY) == set()
    # OpenSSL is 4 MB.
    assert command != "identify" or "_hashlib" not in loaded


def test_pictures_on_the_disk_want_nothing_of_the_network(finished: Path, drawn: Path, tmp_path: Path) -> None:
    script = f"import sys; sys.argv = ['fruitcnn', 'identify', {str(drawn)!r}, '-m', {str(finished)!r}]\n"
    script += "from fruitcnn.cli import main\ntry:\n main()\nfinally:\n print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "PIL.JpegImagePlugin" in loaded, done.stderr
    assert loaded & {"urllib.request", "http.client", "ssl", "_ssl", "socket"} == set()


def test_a_line_imports_the_words_of_its_own_command(tmp_path: Path) -> None:
    script = "import sys; sys.argv = ['fruitcnn', 'cache']; import fruitcnn.cli\ntry:\n fruitcnn.cli.main()\nfinally:\n"
    script += " print(*sorted(name for name in sys.modules if name.endswith(('_command', '_commands'))))"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "fruitcnn.quick_command fruitcnn.show_commands", done.stderr


def test_each_command_is_in_the_module_that_the_list_names() -> None:
    for name in MODULES:
        assert name in typer.main.get_command(command_line([name])).commands
    assert list(typer.main.get_command(command_line()).commands) == list(MODULES)


def test_an_option_of_a_letter_has_it_in_each_command() -> None:
    commands = typer.main.get_command(command_line()).commands
    names = [set(option.opts) for command in commands.values() for option in command.params]
    for letter in ("-m", "-o", "-f", "-k", "-r"):
        (name,) = {max(found, key=len) for found in names if letter in found}
        assert all(letter in found for found in names if name in found), name


def test_importing_fruitcnn_loads_nothing_else(tmp_path: Path) -> None:
    loaded = loaded_after("import fruitcnn\nfruitcnn.__version__\ndir(fruitcnn)", tmp_path)
    assert loaded & {"numpy", "PIL", "onnxruntime", "typer", *HEAVY} == set()


def test_public_names_resolve() -> None:
    import fruitcnn

    assert all(getattr(fruitcnn, name) is not None for name in fruitcnn.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = fruitcnn.nonsense


@pytest.mark.parametrize(
    ("command", "missing", "extra"),
    [
        (("train", str(REPOSITORY / "dataset/sample")), "pydantic", "features"),
        (("train", str(REPOSITORY / "dataset/sample"), "-r", "quick"), "lightning", "train"),
        # What the graph that comes with fruitcnn can't take is made by torch.
        (("train", str(REPOSITORY / "dataset/sample"), "--size", "100"), "torch", "train"),
        (
            ("train", str(REPOSITORY / "dataset/sample"), "--set", "model.architecture=efficientnet_lite1"),
            "torch",
            "train",
        ),
        (("export", str(REPOSITORY / "checkpoints/fruits-small"), "--to", "x"), "keras", "train"),
    ],
)
def test_a_missing_extra_names_the_install_line(
    command: tuple[str, ...], missing: str, extra: str, tmp_path: Path
) -> None:
    script = f"""{without([missing])}
sys.argv = ["fruitcnn", *{list(command)!r}]
from fruitcnn.cli import MODULES, command_line, main
main()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert f"{missing} is missing; run: pip install 'fruitcnn[{extra}]'" in done.stderr
    # What takes gigabytes says so where it is offered.
    size = " (6 GB; 1.3 GB for the CPU alone: docs/install.md)\n"
    assert done.stderr.endswith(size) == (extra == "train")
    assert "Traceback" not in done.stderr


def test_help_version_and_no_arguments(cli: Run) -> None:
    assert cli("--version").stdout.strip() == cli("-V").stdout.strip() == __version__
    assert cli("-h").stdout == cli("--help").stdout and "Usage" in cli("train", "-h").stdout
    shown = cli("--help").stdout
    for command in ("train", "export", "identify", "info", "cache"):
        assert command in shown and cli(command, "--help").returncode == 0
    assert "Usage" in cli().stdout + cli().stderr


def test_a_model_is_shown_by_its_name(cli: Run) -> None:
    done = cli("info", "fruits")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nlabels        grape, pineapple, strawberry\n" in done.stdout


def test_mistakes_are_one_line(
    cli: Run,
    finished: Path,
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one" / "apple").mkdir(parents=True)
    (tmp_path / "list.txt").write_text("mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "list.txt").write_text("mine")
    names = [f"{label}/{label}_00{n}.jpg" for label in ("grape", "pineapple") for n in range(4)]
    rows = [f"{drawn / name},{name.partition('/')[0]},{'train' if name < 'p' else 'validation'}" for name in names]
    (tmp_path / "list.csv").write_text("\n".join(["file,label,split", *rows]))
    train, evaluate = ("train", "-r", "fruit_net"), ("evaluate", str(finished), "--data", str(drawn))
    for arguments, status, message in [
        (("train", str(drawn), "-r", "nonsense"), 2, "no such recipe"),
        (("train",), 2, "no photographs; give a folder"),
        ((*train, "nowhere"), 1, "no such folder or file"),
        ((*train, "one"), 1, "no readable picture in: apple"),
        ((*train, "list.csv"), 1, "the train split has no picture of: pineapple"),
        ((*train, str(drawn), "--set", "train.epoch=3"), 2, "did you mean 'train.epochs'?"),
        ((*train, str(drawn), "--set", "data.outside=nowhere"), 1, "no such folder; mend data.outside"),
        ((*train, str(drawn), "--set", "data.outside=one"), 1, "no pictures in this folder; mend data.outside"),
        (
            ("train", "features"),
            2,
            "features: is a recipe; the photographs come first; run: fruitcnn train PHOTOGRAPHS\n",
        ),
        (("train", "features", "--data", "one"), 2, "run: fruitcnn train one\n"),
        (
            ("train", "--name", "a b", "quick", "--data=one", "--resume"),
            2,
            "the photographs come first; run: fruitcnn train one -r quick --name 'a b' --resume\n",
        ),
        (
            ("predict", "a b.jpg", "--top", "3"),
            2,
            "predict: no such command; run: fruitcnn identify 'a b.jpg' --top 3\n",
        ),
        (("list.txt",), 2, "list.txt: no such command; run: fruitcnn identify list.txt\n"),
        (
            ("https://there.example/a.jpg?b=1&c", "-k", "3"),
            2,
            "c: no such command; run: fruitcnn identify 'https://there.example/a.jpg?b=1&c' -k 3\n",
        ),
        (("http://me:secret@there.example/a.jpg",), 2, "run: fruitcnn identify http://there.example/a.jpg\n"),
        (("-", "-k", "3"), 2, "-: no such command; run: fruitcnn identify - -k 3\n"),
        (("clasify", "x.jpg"), 2, "clasify: no such command; did you mean identify?\n"),
        (("expot", "x"), 2, "expot: no such command; did you mean export?\n"),
        (("dataset", "chek", "one"), 2, "chek: no such command; did you mean check?\n"),
        (("dataset", "identfy", "one"), 2, "identfy: no such command; choose from fetch, check, "),
        (("xyzzy",), 2, "xyzzy: no such command; choose from identify, "),
        (("train", "one", "--recip", "quick"), 2, "--recip: no such option; did you mean --recipe?"),
        (("train", "one", "--learning-rate=0.1"), 2, "did you mean --set train.learning_rate=...?"),
        (("train", "one", "--train.ema", "0.9"), 2, "did you mean --set train.ema=...?"),
        ((*train, str(drawn), "--size", "8"), 2, "fruitcnn: --size 8: must be at least 16; "),
        (("train", str(drawn), "--epochs", "0"), 2, "fruitcnn: --epochs 0: must be at least 1"),
        ((*train, str(drawn), "--set", "seed=-1"), 2, "fruitcnn: seed=-1: must be at least 0"),
        (
            ("train", str(drawn), "--set", "train.ema=0.9"),
            2,
            "fruitcnn: train.ema=0.9: train and augment have no meaning where only the head is fitted",
        ),
        (("export", "nowhere"), 1, "nowhere: no such model"),
        (("export", str(finished), "--format", "onnx,onx"), 2, "onx: no such format; choose from"),
        (("export", str(finished), "--to", "list.txt"), 2, "list.txt: is not a folder"),
        ((*evaluate, "--outside", "nowhere"), 2, "no such folder"),
        ((*evaluate, "--outside", "one"), 1, "no pictures in this folder"),
        ((*evaluate, "--report", "mine"), 2, "holds other files"),
        ((*evaluate, "--report", "no/such"), 2, "no such folder; make it first"),
    ]:
        monkeypatch.setattr(sys, "argv", ["fruitcnn", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        errors = capsys.readouterr().err
        assert ended.value.code == status and message in errors, (arguments, errors)
        assert "Traceback" not in errors and len(errors.strip().splitlines()) == 1
    # As a process of its own, once: nothing of the libraries' imports comes with it.
    done = cli("train", "one", "-r", "fruit_net")
    assert done.returncode == 1 and done.stdout == "" and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "checkpoints").exists(), "nothing is left of what could not begin"
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["list.txt"] and not (tmp_path / "no").exists()


def test_debug_shows_the_traceback(cli: Run) -> None:
    for words in (("--debug", "identify", "x.jpg"), ("identify", "x.jpg", "--debug")):
        done = cli(*words, "--model", "nowhere")
        assert done.returncode == 1 and "Traceback" in done.stderr
    done = cli("identify", "--model", "nowhere", "--", "--debug")
    assert "Traceback" not in done.stderr
    done = cli("--debug", "identify", "x.jpg", "--model", "nowhere")
    assert done.returncode == 1 and "Traceback" in done.stderr and "no such model" in done.stderr


def test_a_reader_that_has_seen_enough(finished: Path, drawn: Path) -> None:
    command = [sys.executable, "-m", "fruitcnn", "identify", *[str(drawn)] * 40, "--model", str(finished)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere"], "no such folder or file"),
        (["photos", "-r", "nonsense"], "no such recipe"),
        (["photos", "--epoch", "3"], "did you mean --epochs?"),
        (["photos", "-r", "quick"], "lightning is missing"),
        (["photos"], "jinja2 is missing"),
    ],
)
def test_a_mistake_in_training_is_told_before_any_work(words: list[str], told: str, tmp_path: Path) -> None:
    (tmp_path / "photos" / "apple").mkdir(parents=True)
    # Empty classes are an error too: that they are not told shows that the folder was not looked through.
    heavy = {"torch", "keras", "onnx", "onnxruntime", "matplotlib"}
    absent = {"lightning is missing": "lightning", "jinja2 is missing": "jinja2"}.get(told)
    script = f"""
import sys
sys.modules[{absent!r}] = None
sys.argv = ["fruitcnn", "train", *{words!r}]
from fruitcnn.cli import MODULES, command_line, main
try:
    main()
finally:
    print(sorted({heavy!r} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode in (1, 2) and told in done.stderr
    assert done.stdout == "[]\n" and not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("fruitcnn train x -r f", {"features", "fruit_net"}),
        ("fruitcnn recipes q", {"quick"}),
        ("fruitcnn identify x -m fruits", {"fruits", "fruits-small"}),
        ("fruitcnn info fruits-", {"fruits-small"}),
        ("fruitcnn label-next fruits-", {"fruits-small"}),
        ("fruitcnn serve fruits-", {"fruits-small"}),
        ("fruitcnn export fruits --format keras,i", {"keras,image", "keras,int8"}),
        ("fruitcnn identify x --format j", {"json"}),
    ],
)
def test_a_shell_is_offered_recipes_models_and_formats(words: str, offered: set[str], tmp_path: Path) -> None:
    place = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1), "_FRUITCNN_COMPLETE": "complete_bash"}
    script = "import sys; sys.argv = ['fruitcnn']; from fruitcnn.cli import main; main()"
    words_of = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, **place}, capture_output=True, text=True
    )
    assert set(words_of.stdout.split()) == offered, words_of.stderr


def test_the_shell_is_taught_in_the_home_of_who_asks(tmp_path: Path) -> None:
    script = "import sys; sys.argv = ['fruitcnn', '--install-completion']; from fruitcnn.cli import main; main()"
    # Which shell it is, is seen by what has started it; with nothing behind it bash would become the command.
    words = ["bash", "-c", '"$@"; exit $?', "bash", sys.executable, "-c", script]
    place = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(words, cwd=tmp_path, env=place, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    written = tmp_path / ".bash_completions" / "fruitcnn.sh"
    assert "_FRUITCNN_COMPLETE=complete_bash" in written.read_text()
    assert str(written) in (tmp_path / ".bashrc").read_text() and str(written) in done.stdout


@pytest.mark.parametrize(("given", "expected"), [({}, "12"), ({"OPENBLAS_THREAD_TIMEOUT": "20"}, "20")])
def test_the_threads_of_numpy_are_told_to_sleep_before_it_is_imported(given: dict[str, str], expected: str) -> None:
    script = """
import os, sys
sys.argv = ["fruitcnn", "--version"]
from fruitcnn.cli import main
assert "numpy" not in sys.modules
try:
    main()
finally:
    print(os.environ["OPENBLAS_THREAD_TIMEOUT"])
"""
    place = {name: value for name, value in os.environ.items() if name != "OPENBLAS_THREAD_TIMEOUT"}
    done = subprocess.run([sys.executable, "-c", script], env=place | given, capture_output=True, text=True)
    assert done.stdout.split()[-1] == expected, done.stderr
