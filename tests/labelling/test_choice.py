"""Which pictures are chosen: the unsure ones, no two of them alike, whatever order they come in."""

import numpy as np

from fruitcnn.labelling.choice import choose, farthest_first, margins


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_margins_are_between_the_two_likeliest() -> None:
    shares = np.array([[0.5, 0.1, 0.4], [1.0, 0.0, 0.0], [0.3, 0.3, 0.4]])
    assert np.allclose(margins(shares), [0.1, 1.0, 0.1])
    assert margins(np.ones((2, 1))).tolist() == [1.0, 1.0], "one class leaves nothing to decide"
    assert margins(np.empty((0, 3))).shape == (0,)


def test_of_a_burst_one_is_chosen_before_any_other_group_is_left_out() -> None:
    """Fifty unsure frames of one scene, and ten others that the model is surer of."""
    order = np.concatenate([np.full(50, 0.01), np.linspace(0.2, 0.9, 10)])
    groups = np.concatenate([np.zeros(50, np.int64), np.arange(1, 11)])
    vectors = unit(np.random.default_rng(1).normal(size=(60, 8)))
    chosen = choose(order, vectors, groups, 5)
    assert chosen[0] < 50 and sorted(groups[chosen].tolist())[0] == 0
    assert len(set(groups[chosen].tolist())) == 5
    assert len(set(choose(order, vectors, groups, 15).tolist())) == 15, "when no group is left, more of one"
    assert set(groups[choose(order, vectors, groups, 15)]) == set(range(11))


def test_pictures_that_the_network_takes_for_one_are_spread_although_no_hash_says_so() -> None:
    """Ten places in feature space with four pictures each: of equally unsure ones, no place comes twice."""
    rng = np.random.default_rng(2)
    places = np.repeat(np.eye(10), 4, axis=0)
    vectors = unit(places + 0.01 * rng.normal(size=places.shape))
    order = np.full(40, 0.1) + 0.001 * np.arange(40)
    chosen = choose(order, vectors, np.arange(40), 10)
    assert sorted(set((chosen // 4).tolist())) == list(range(10))


def test_sure_pictures_are_not_chosen_for_being_odd() -> None:
    rng = np.random.default_rng(3)
    vectors = unit(np.concatenate([np.ones((20, 8)) + 0.1 * rng.normal(size=(20, 8)), 5 * rng.normal(size=(200, 8))]))
    order = np.concatenate([np.linspace(0, 0.2, 20), np.linspace(0.9, 1, 200)])
    assert set(choose(order, vectors, np.arange(220), 5).tolist()) <= set(range(20))


def test_the_most_unsure_comes_first_and_few_pictures_are_all_taken() -> None:
    order, vectors = np.array([0.5, 0.1, 0.3]), unit(np.eye(3))
    assert choose(order, vectors, np.arange(3), 10).tolist() == [1, 2, 0]
    assert choose(order, vectors, np.array([0, 0, 2]), 10).tolist() == [1, 2, 0]
    assert choose(np.empty(0), np.empty((0, 0), np.float32), np.empty(0, np.int64), 4).tolist() == []


def test_farthest_first_is_that_of_the_definition() -> None:
    rng = np.random.default_rng(4)
    vectors, weights = unit(rng.normal(size=(30, 5))), rng.uniform(size=30)
    chosen = [0]
    while len(chosen) < 8:
        rest = [index for index in range(30) if index not in chosen]
        distances = {index: min(1 - float(vectors[index] @ vectors[one]) for one in chosen) for index in rest}
        chosen.append(max(rest, key=lambda index: weights[index] * distances[index]))
    assert farthest_first(vectors, weights, 8).tolist() == chosen
    assert sorted(farthest_first(vectors[:3], weights[:3], 8).tolist()) == [0, 1, 2]
