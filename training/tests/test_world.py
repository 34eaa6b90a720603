"""The world keeps its promises: determinism, exact truth, GenEval's rules and grammar."""

from __future__ import annotations

import numpy as np
import pytest

from ttsvar.verifiers.detector.geneval import relations
from ttsvar.world import (
    CLASSES,
    COLORS,
    RELATIONS,
    SceneSpec,
    World,
    WorldConfig,
    caption,
    geneval_metadata,
    geneval_prompts,
    parse_caption,
    sample_spec,
    spec_from_metadata,
)
from ttsvar.world.atlas import load_atlas
from ttsvar.world.layout import PALE
from ttsvar.world.prepare import prepare


@pytest.fixture(scope="module", autouse=True)
def atlas() -> None:
    """The drawings, installed and rasterised now if they are not at hand."""
    prepare()


CONFIGS = [
    WorldConfig(),
    WorldConfig(split="verifier", layout="free", backgrounds="varied"),
    WorldConfig(split="heldout"),
    WorldConfig(size=128, drawings=None, layout="free"),
]


def test_vocabulary() -> None:
    assert len(CLASSES) == len(set(CLASSES)) == 80
    assert {"computer mouse", "tv remote", "computer keyboard"} < set(CLASSES)
    assert list(COLORS) == "red orange yellow green blue purple pink brown black white".split()


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_scene_depends_only_on_seed_and_index(config: WorldConfig) -> None:
    world = World(config, 3)
    in_order = [world.scene(i) for i in range(5)]
    alone = World(config, 3).scene(4)
    assert np.array_equal(in_order[4].image, alone.image)
    assert in_order[4].caption == alone.caption and in_order[4].spec == alone.spec
    assert in_order[4].image.shape == (config.size, config.size, 3) and in_order[4].image.dtype == np.uint8
    assert not np.array_equal(World(config, 4).scene(4).image, alone.image)
    batch = world.batch(3, 2)
    assert np.array_equal(batch.images[1], alone.image)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_boxes_are_tight_around_disjoint_masks(config: WorldConfig) -> None:
    world = World(config, 5)
    for i in range(40):
        scene = world.scene(i, masks=True)
        assert len(scene.objects) == len(scene.spec.objects)
        for t, (name, color) in zip(scene.objects, scene.spec.objects):
            assert CLASSES[t.cls] == name
            assert t.color == (None if color is None else list(COLORS).index(color))
            ys, xs = np.nonzero(t.mask)
            assert t.box == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        for a in range(len(scene.objects)):
            for b in range(a):
                assert not (scene.objects[a].mask & scene.objects[b].mask).any()


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("relation", RELATIONS)
def test_relations_hold_by_genevals_rule(config: WorldConfig, relation: str) -> None:
    world, rng = World(config, 6), np.random.default_rng(0)
    for i in range(40):
        a, b = rng.choice(len(CLASSES), 2, replace=False)
        first, second = world.scene(i, SceneSpec("position", ((CLASSES[a], None), (CLASSES[b], None)), relation)).objects
        assert relations(first.box, second.box) == {relation}


def test_counting_scenes_show_one_drawing() -> None:
    world = World(WorldConfig(drawings=3), 7)
    for n in (2, 3, 4):
        objects = world.scene(n, SceneSpec("counting", (("dog", None),) * n)).objects
        assert len(objects) == n and len({t.drawing for t in objects}) == 1


def test_white_objects_avoid_the_white_background() -> None:
    world = World(WorldConfig(), 8)
    corners = {tuple(world.scene(i, SceneSpec("colors", (("car", "white"),))).image[0, 0]) for i in range(60)}
    assert tuple(PALE[0]) not in corners and len(corners) == 5


def test_splits_are_disjoint() -> None:
    atlas = load_atlas()
    for cls in range(80):
        held = {d.index for d in atlas.heldout(cls)}
        rest = [d.index for d in atlas.trainable(cls)]
        assert held and rest and not held & set(rest)
        copies = [d for d in atlas.by_class[cls] if d.index not in held and d.index not in rest]
        assert all(any(atlas.same(d, other) for other in atlas.heldout(cls)) for d in copies)
    assert not [d for d in atlas.drawings if "SA" in d.license or "NC" in d.license]
    seen = {t.drawing for i in range(60) for t in World(WorldConfig(split="heldout"), 1).scene(i).objects}
    assert seen <= {d.index for cls in range(80) for d in atlas.heldout(cls)}


def test_captions_parse_back() -> None:
    rng = np.random.default_rng(1)
    seen = set()
    for i in range(3000):
        spec = sample_spec(rng)
        text = caption(spec, rng, paraphrase=i % 3 > 0)
        seen.add(text.split(" of ")[0])
        found, relation = parse_caption(text)
        wanted = [(1, *o) for o in spec.objects]
        if spec.tag == "counting":
            wanted = [(len(spec.objects), *spec.objects[0])]
        assert (found, relation) == (wanted, spec.relation), text
    assert {"a photo", "an image"} <= seen


def test_metadata_is_genevals() -> None:
    assert geneval_metadata(SceneSpec("counting", (("bench", None),) * 3)) == {
        "tag": "counting",
        "include": [{"class": "bench", "count": 3}],
        "exclude": [{"class": "bench", "count": 4}],
        "prompt": "a photo of three benchs",
    }
    position = SceneSpec("position", (("bus", None), ("boat", None)), "above")
    assert geneval_metadata(position) == {
        "tag": "position",
        "include": [{"class": "boat", "count": 1}, {"class": "bus", "count": 1, "position": ["above", 0]}],
        "prompt": "a photo of a bus above a boat",
    }
    pair = SceneSpec("color_attr", (("umbrella", "orange"), ("cup", "red")))
    assert geneval_metadata(pair) == {
        "tag": "color_attr",
        "include": [{"class": "umbrella", "count": 1, "color": "orange"}, {"class": "cup", "count": 1, "color": "red"}],
        "prompt": "a photo of an orange umbrella and a red cup",
    }


def test_prompts_have_no_duplicates_and_round_trip() -> None:
    metas = geneval_prompts(120, 5)
    prompts = [m["prompt"] for m in metas]
    assert len(prompts) == len(set(prompts)) == 5 * 120 + 80
    assert metas == geneval_prompts(120, 5) != geneval_prompts(120, 6)
    for m in metas:
        assert geneval_metadata(spec_from_metadata(m)) == m
        assert "person" not in [c["class"] for c in m["include"] if "color" in c]
    assert len(geneval_prompts({"counting": 10_000}, 0)) == 240


def test_no_picture_is_both_trained_on_and_held_out() -> None:
    atlas = load_atlas()
    held = {atlas.pixels[d.index].tobytes() for cls in range(80) for d in atlas.heldout(cls)}
    trained = {atlas.pixels[d.index].tobytes() for cls in range(80) for d in atlas.trainable(cls)}
    assert not held & trained
