"""Synthetic scenes of icons with GenEval-style captions and exact ground truth."""

from .captions import caption, parse_caption
from .spec import (
    SceneSpec,
    geneval_metadata,
    geneval_prompt,
    geneval_prompts,
    sample_spec,
    sample_spec_of,
    spec_from_metadata,
)
from .vocabulary import CLASSES, COLORS, RELATIONS, TAGS
from .world import ObjectTruth, Scene, SceneBatch, World, WorldConfig, world_config

__all__ = [
    "CLASSES", "COLORS", "RELATIONS", "TAGS", "ObjectTruth", "Scene", "SceneBatch", "SceneSpec", "World",
    "WorldConfig", "caption", "geneval_metadata", "geneval_prompt", "geneval_prompts", "parse_caption",
    "sample_spec", "sample_spec_of", "spec_from_metadata", "world_config",
]  # fmt: skip
