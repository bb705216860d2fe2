"""The words that stand in the tables: roles, actions, reasons of refusals, codes of rejects."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What an edge is for."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    FALSE_NEGATIVE = "false_negative"
    REFUSED = "refused"
    SOFT = "soft"


class Action(StrEnum):
    """What becomes of a false negative."""

    ELIMINATE = "eliminate"
    ATTRACT = "attract"
    SOFTEN = "soften"
    REVIEW = "review"


class Reason(StrEnum):
    """Why a candidate was refused. TAKEN (empty) means that it was not."""

    TAKEN = ""
    SELF = "self"
    DUPLICATE = "duplicate"
    SPLIT = "split"
    POSITIVE = "positive"
    FALSE_NEGATIVE = "false_negative"
    SAME_LABEL = "same_label"
    OTHER_LABEL = "other_label"
    MUTUALITY = "mutuality"
    RANK = "rank"
    RATIO = "ratio"
    MARGIN = "margin"
    MIN_SIMILARITY = "min_similarity"
    MAX_SIMILARITY = "max_similarity"
    THRESHOLD = "threshold"
    HUB_CAP = "hub_cap"
    NO_VECTOR = "no_vector"
    NOT_DRAWN = "not_drawn"
    OVERFLOW = "overflow"
    NO_SHARE = "no_share"
    TRUE_CAPTION = "true_caption"
    OTHER_CLUSTER = "other_cluster"
    NOT_ACCEPTED = "not_accepted"
    NOT_CHOSEN = "not_chosen"
    AGREEMENT = "agreement"
    BELOW_POSITIVE = "below_positive"
    DISTANCE = "distance"
    NEARER_OTHER = "nearer_other"
    SAME_ATTRIBUTE = "same_attribute"
    TIME_GAP = "time_gap"
    VALUE_CAP = "value_cap"
    IMPROBABLE = "improbable"
    ORACLE_CONFLICT = "oracle_conflict"
    SELECTED = "selected"
    FAR_FROM_SET = "far_from_set"
    NOT_SELECTED = "not_selected"
    TEMPLATE = "template"


class RejectCode(StrEnum):
    """Why an input is not a sample."""

    MISSING_FILE = "missing_file"
    UNREADABLE_FILE = "unreadable_file"
    EMPTY_FILE = "empty_file"
    NOT_AN_IMAGE = "not_an_image"
    TRUNCATED_IMAGE = "truncated_image"
    DAMAGED_IMAGE = "damaged_image"
    UNSUPPORTED_IMAGE = "unsupported_image"
    TOO_MANY_PIXELS = "too_many_pixels"
    ZERO_PIXELS = "zero_pixels"
    NO_IMAGE = "no_image"
    DUPLICATE_KEY = "duplicate_key"
    EMPTY_KEY = "empty_key"
    KEY_TOO_LONG = "key_too_long"
    UNSAFE_PATH = "unsafe_path"
    BAD_METADATA = "bad_metadata"
    BAD_TEXT = "bad_text"
    BAD_RECORD = "bad_record"
    BAD_SHARD = "bad_shard"
    UPSTREAM_FAILURE = "upstream_failure"
    NAN_VECTOR = "nan_vector"
    ZERO_VECTOR = "zero_vector"
    MISSING_VECTOR = "missing_vector"
    TOO_LARGE_FILE = "too_large_file"
