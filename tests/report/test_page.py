"""The page as a browser and a reader get it."""

import csv
import html.parser

import pytest

from jaxal.evaluation.learning_curve import interval
from jaxal.report.page import write_report
from report.report_samples import changed, only, query, result_row, sample

VOID = {"meta", "img", "wbr", "br", "link", "hr", "input"}


class Page(html.parser.HTMLParser):
    """Collects elements, attributes and text, and checks that what is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.texts).replace("\u00a0", " ").split())


def page_of(inputs, folder):
    return Page(write_report(inputs, folder).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    inputs = sample()
    external = [
        {"arm": row["arm"], "seed": row["seed"], "round": row["round"], "split": "external", "class": "", **value}
        for row in inputs.rows
        for value in ({"metric": "auroc", "value": 0.55}, {"metric": "average_precision", "value": None})
    ]
    counts = {**inputs.part_counts, "external": {"rest": 3, "rare": 1}}
    inputs = inputs._replace(metric_rows=external, part_counts=counts)
    return inputs, folder, page_of(inputs, folder)


def test_everything_is_in_it(written):
    _, _, page = written
    for words in (
        "cb had found 4 of the pool's 20 images of class rare",
        "cb ranked the test images with an average precision of 0.510",
        "0.510 ± 0.025",
        "10 % 10 labels",
        "By reason: first 2 (2 of class rare); second 2 (1 of class rare).",
        "Validation labels are outside the budget.",
        'name = "sample"',
        "packages.jax 0.10",
        "commit –",
        "not defined",
        "Internal test: AUROC arm 10 % 10 labels",
        "External test: AUROC",
        "Choosing took 9.1 %",
    ):
        assert words in page.text or words in " ".join(each.get("alt", "") for each in page.all("img"))
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("details")) == 3  # two arms that ask, and the config
    assert ["open" in each for each in page.all("details")] == [True, False, False]
    assert all(each["alt"] for each in page.all("img"))
    # Seven of scores round by round, three of the internal test set with its external ones; five of seconds, two more.
    assert len(page.all("table")) == len(page.all("caption")) == 4 + 3 + 5 + 2
    assert all(each.get("scope") in ("row", "col") for each in page.all("th"))
    # Six metrics of two classes, three external ones, two arms that ask, the rate, the seconds; then 2 × 2 × 4 images.
    assert len(page.all("figure")) == 6 + 3 + 2 + 1 + 1
    assert len(page.all("img")) == 13 + 16


def test_it_stands_alone(written):
    _, folder, page = written
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.elements}
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "srcset", "href", "action", "data"):
            if name in attributes:
                assert attributes[name].startswith("data:image/" if tag == "img" else "#")
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "url(" not in text
    assert "@import" not in text
    assert "text-overflow" not in text  # names in tables wrap: their ends may be all that parts them
    assert "http" not in text


def test_links_lead_somewhere(written):
    _, _, page = written
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {each["href"].removeprefix("#") for each in page.all("a")} == ids


def test_each_figure_has_its_numbers(written):
    _, folder, _ = written
    keys = {"auroc", "average_precision", "balanced_accuracy", "accuracy", "minority_labeled", "imbalance_ratio"}
    keys |= {f"external_{name}" for name in ("auroc", "average_precision", "balanced_accuracy")}
    keys |= {"asked_classes", "minority_per_100", "seconds"}
    assert {path.name for path in (folder / "figures").iterdir()} == {
        f"{k}.{end}" for k in keys for end in ("svg", "csv")
    }

    def read(key):
        return list(csv.DictReader((folder / "figures" / f"{key}.csv").read_text().splitlines()))

    point = next(row for row in read("average_precision") if (row["arm"], row["round"]) == ("cb", "2"))
    expected = interval([0.5, 0.51, 0.52])
    assert [float(point[key]) for key in ("mean", "low", "high")] == pytest.approx(list(expected[:3]), rel=1e-12)
    assert {(row["arm"], row["mean"]) for row in read("minority_per_100")} == {("random", "25.0"), ("cb", "75.0")}
    assert read("seconds")[0] == {"arm": "random", "train": "6.000", "embed": "1.000", "acquire": "0.500", "seeds": "3"}
    assert {row["mean"] for row in read("external_auroc")} == {"0.55"}
    assert {row["mean"] for row in read("external_average_precision")} == {""}


def test_equal_inputs_give_equal_bytes_and_touch_nothing(written, tmp_path):
    inputs, folder, _ = written
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    write_report(inputs, folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    write_report(inputs, tmp_path)
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert (tmp_path / path.relative_to(folder)).read_bytes() == path.read_bytes()
    write_report(inputs._replace(notes=()), tmp_path)
    assert (tmp_path / "report.html").read_bytes() != (folder / "report.html").read_bytes()


NASTY = "<script>alert(1)</script>&\"'$x_$ 黑色素瘤\x00\ud800"


def test_names_of_any_kind_are_text(tmp_path):
    inputs = sample(seeds=(0,), num_rounds=1)
    arms = {"random": "_</details><b>", "cb": "<script>cb</script>", "full": '"><img src=x onerror=y>'}
    reasons = ("<i>why</i>",) * 4
    rename = {"rest": "a&b", "rare": NASTY}
    inputs = inputs._replace(
        name="</title><script>",
        planned_rounds={arms[arm]: num for arm, num in inputs.planned_rounds.items()},
        full_arms=frozenset({arms["full"]}),
        random_arms=frozenset({arms["random"]}),
        class_names=tuple(rename[name] for name in inputs.class_names),
        part_counts={part: {rename[name]: n for name, n in of.items()} for part, of in inputs.part_counts.items()},
        rows=[row | {"arm": arms[row["arm"]]} for row in inputs.rows],
        asked=[
            each._replace(arm=arms[each.arm], reasons=reasons, ids=('"><script>', "b", "c\ud800", "d"))
            for each in inputs.asked
        ],
        notes=("<script>note</script>",),
        config_text="</pre><script>config</script>",
        environment={"<b>": ["<i>", {"a": 1}], "nested": {"<u>": None}},
    )
    page = page_of(inputs, tmp_path)
    assert "script" not in {tag for tag, _ in page.elements}
    assert len(page.all("img")) == 6 + 2 + 1 + 1 + 8
    assert "<script>alert(1)</script>&\"'$x_$ 黑色素瘤�" in page.text
    for words in ("<script>cb</script>", "_</details><b>", "</pre><script>config</script>", "<i>why</i>"):
        assert words in page.text
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;&#34;" in text
    assert '<img src="x' not in text
    assert {path.stem for path in (tmp_path / "figures").iterdir()} >= {"asked_classes", "auroc"}


HIDDEN = "ra\nre\x00\u202e\u2067"


def test_no_name_breaks_or_turns_the_page(tmp_path):
    classes = ("rest", HIDDEN)
    inputs = sample(
        name=HIDDEN,
        class_names=classes,
        part_counts={part: dict(zip(classes, (80, 20), strict=True)) for part in ("pool", "test")},
        notes=(HIDDEN,),
        config_text=f'name = "{HIDDEN}"\n\nseeds = [0]\n',
        environment={HIDDEN: HIDDEN},
    )
    inputs = inputs._replace(asked=[each._replace(ids=(HIDDEN,) * 4, reasons=(HIDDEN,) * 4) for each in inputs.asked])
    write_report(inputs, tmp_path)
    text = (tmp_path / "report.html").read_bytes().decode("utf-8")
    assert not set("\x00\r\u202e\u2067") & set(text)
    assert "<bdi>ra�re���</bdi>" in text
    page = Page(text)
    assert "of the pool's 20 images of class ra�re��� (mean" in page.text
    assert not any("\n" in each["alt"] for each in page.all("img"))
    assert "<pre>name = &#34;ra\nre���&#34;\n\nseeds = [0]\n</pre>" in text


def test_the_parts_of_the_first_seed_are_called_so(tmp_path):
    page = page_of(sample(sizes_vary=True), tmp_path)
    assert "pool images (first seed) 100; 20 (20 %) of class rare" in page.text
    assert "beside those of the whole pool as the first seed splits it." in page.text
    assert "of the pool's" not in page.text
    page = page_of(sample(), tmp_path)
    assert "pool images 100; 20 (20 %) of class rare" in page.text
    assert "first seed" not in page.text.replace("as the first seed splits them", "")


def test_one_seed_is_no_mean(tmp_path):
    page = page_of(sample(seeds=(0,)), tmp_path)
    for words in ("±", "means over seeds", "Mean over seeds", "interval over seeds"):
        assert words not in page.text
    assert "Counts and scores are of one seed, so there are no intervals." in page.text
    assert "One seed, so there are no intervals." in page.text


@pytest.mark.parametrize(("num_rounds", "is_said"), [(0, False), (12, True), (13, False)])
def test_counts_above_bars_are_named_where_they_are_drawn(num_rounds, is_said, tmp_path, texts):
    inputs = changed(sample(seeds=(0,), num_rounds=num_rounds), lambda row: {"minority_labeled": 1})
    counts = {"pool": {"rest": 80, "rare": 777}, "test": {"rest": 90, "rare": 10}}
    page = page_of(inputs._replace(part_counts=counts), tmp_path)
    assert ("Above each bar" in page.text) == is_said
    assert ("777" in texts()) == is_said


def test_a_prevalence_near_none_is_not_none(tmp_path):
    counts = {"pool": {"rest": 33000, "rare": 1}, "test": {"rest": 9999, "rare": 3}}
    page = page_of(sample(part_counts=counts), tmp_path)
    assert "rest 33,000 9,999 0.9997" in page.text
    assert "rare (minority) 1 3 0.0003" in page.text


def degenerate():
    base = sample()
    classes = tuple(f"class {index}" for index in range(12))
    counts = {"pool": dict.fromkeys(classes, 10), "test": dict.fromkeys(classes, 5)}
    many = sample(seeds=(0, 1))._replace(
        class_names=classes,
        minority=11,
        part_counts=counts,
        asked=[query("cb", 0, 1, [0, 11, 5, -2]), query("cb", 1, 1, [-2, -2, -2, -2])],
    )
    columns = ("auroc", "average_precision", "balanced_accuracy", "accuracy", "imbalance_ratio")
    yield "nothing finished", base._replace(rows=[], asked=[], part_counts={}, environment={}, notes=())
    yield "nothing begun", sample(rows=[], asked=[], images_of=lambda seed, indices: 1 / 0)
    yield "full alone", only(base, "full")
    yield "one arm, one seed, no full", only(sample(seeds=(3,), has_full=False), "cb")
    yield "no query planned", sample(num_rounds=0)
    yield "undefined metrics", changed(base, lambda row: dict.fromkeys(columns))
    yield "no minority found", changed(base, lambda row: {"minority_labeled": 0})._replace(asked=[])
    yield "twelve classes, skipped images", many
    yield "half of one run", base._replace(rows=[result_row("cb", 0, 0)], asked=[query("cb", 0, 1, [0, 1])])


@pytest.mark.parametrize(("what", "inputs"), list(degenerate()), ids=[what for what, _ in degenerate()])
def test_a_degenerate_study_has_a_page_too(what, inputs, tmp_path):
    page = page_of(inputs, tmp_path)
    assert len(page.all("section")) >= 7
    finished = len(inputs.rows) == sum(inputs.planned_rounds.values()) * len(inputs.seeds)
    assert ("This study is not finished" in page.text) != finished
    if what == "half of one run":
        assert "cb: 1 of 9 rounds finished" in page.text
    if what == "twelve classes, skipped images":
        assert "4 asked, 1 of class class 11 , 1 skipped." in page.text
        assert (tmp_path / "figures" / "classes_found.svg").exists()
        assert "other (3 classes)" in page.text
    if what == "full alone":
        assert "No arm of this study asks for labels." in page.text


def test_a_study_that_stopped_at_a_plateau_is_finished(tmp_path):
    inputs = sample(stopped={("cb", 1): 1})
    rows = [row for row in inputs.rows if (row["arm"], row["seed"], row["round"]) != ("cb", 1, 2)]
    page = page_of(inputs._replace(rows=rows), tmp_path)
    assert "This study is not finished" not in page.text
    assert "later rounds are of the seeds that went on" in page.text
    page = page_of(inputs._replace(rows=rows[:-1]), tmp_path)
    assert "full: 2 of 3 rounds finished" in page.text
    assert "cb: " not in page.text.partition("not finished")[2].partition("Learning curves")[0]
    assert "went on" not in page_of(sample(), tmp_path).text
