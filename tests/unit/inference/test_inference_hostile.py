"""What is no self-contained network is refused with a sentence, before any runtime reads a file or crashes on it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper

from stageline.core.errors import ModelError
from stageline.inference import Options, open_network, signature
from tests.support import onnx_graphs as graphs

RUNTIMES = ("onnxruntime", "openvino")


def with_attribute(**attributes: object) -> onnx.ModelProto:
    """A network that adds a Constant with this attribute."""
    nodes = [helper.make_node("Constant", [], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])]
    nodes[0].attribute.append(AttributeProto(**attributes))
    return graphs.network(nodes)


def with_weights(constant: onnx.TensorProto) -> onnx.ModelProto:
    """A network that adds a constant."""
    return graphs.network([helper.make_node("Add", ["x", "c"], ["y"])], [constant])


def half_external() -> onnx.ModelProto:
    """A tensor that names a file, and does not say that it lies there."""
    constant = graphs.elsewhere("c")
    constant.data_location = TensorProto.DEFAULT
    return with_weights(constant)


def sparse() -> onnx.ModelProto:
    """A sparse tensor whose values lie elsewhere."""
    made = with_weights(graphs.elsewhere("d"))
    values = onnx.SparseTensorProto(values=graphs.elsewhere("c"), dims=[1])
    del made.graph.initializer[:]
    made.graph.sparse_initializer.append(values)
    return made


EXTERNAL: dict[str, Callable[[], onnx.ModelProto]] = {
    "weights": lambda: with_weights(graphs.elsewhere("c")),
    "weights with an absolute path": lambda: with_weights(graphs.elsewhere("c", "/etc/hostname")),
    "weights at an address in memory": lambda: with_weights(graphs.elsewhere("c", "*/_ORT_MEM_ADDR_/*", offset="4096")),
    "weights that only name a file": half_external,
    "sparse weights": sparse,
    "an attribute": lambda: with_attribute(name="value", type=AttributeProto.TENSOR, t=graphs.elsewhere("c")),
    "a list in an attribute": lambda: with_attribute(
        name="values", type=AttributeProto.TENSORS, tensors=[graphs.elsewhere("c")]
    ),
    "the body of a loop": lambda: graphs.loop(constant=graphs.elsewhere("c")),
}


@pytest.mark.parametrize("where", EXTERNAL)
def test_data_in_other_files_is_refused(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a network names another file it is refused, though the file is there, in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.bin").write_bytes(np.float32(7).tobytes())
    with pytest.raises(ModelError, match=r"evil\.onnx keeps . in another file: save it as one file"):
        signature(EXTERNAL[where]().SerializeToString(), "evil.onnx")
    for runtime in RUNTIMES:
        with pytest.raises(ModelError, match="in another file"):
            open_network(EXTERNAL[where]().SerializeToString(), "evil.onnx", Options(), runtime)


def other_operator(domain: str, *, inside: bool = False) -> onnx.ModelProto:
    """A network with an operator of another domain, perhaps in the body of a loop."""
    made = graphs.loop() if inside else graphs.relu()
    made.opset_import.append(helper.make_opsetid(domain, 1))
    graph = made.graph.node[0].attribute[0].g if inside else made.graph
    graph.node[0].domain = domain
    return made


def own_function() -> onnx.ModelProto:
    """A network that defines what its operator does."""
    made = other_operator("mine")
    nodes, opsets = [helper.make_node("Relu", ["x"], ["y"])], [helper.make_opsetid("", 13)]
    made.functions.append(helper.make_function("mine", "Relu", ["x"], ["y"], nodes, opsets))
    return made


def training() -> onnx.ModelProto:
    """A network with a graph that trains it."""
    made = graphs.relu()
    made.training_info.add()
    return made


def changed(**values: str) -> onnx.ModelProto:
    """The least network, its one node changed."""
    made = graphs.relu()
    for key, value in values.items():
        setattr(made.graph.node[0], key, value)
    return made


REFUSED: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "an operator of its own": (lambda: other_operator("mine"), r"needs the operator mine\.Relu: export it with"),
    "one in a loop": (lambda: other_operator("com.microsoft", inside=True), r"needs the operator com\.microsoft\.Add"),
    "a function of its own": (own_function, "defines functions of its own"),
    "a training graph": (training, "holds a training graph"),
    "an unknown operator": (lambda: changed(op_type="Telepathy"), "is not valid ONNX: No Op registered for Telepathy"),
    "a loose end": (lambda: graphs.network([helper.make_node("Relu", ["z"], ["y"])]), "is not valid ONNX"),
    "words as output": (
        lambda: graphs.network(
            [helper.make_node("Constant", [], ["y"], value_string="hello")], outputs=[("y", TensorProto.STRING, [])]
        ),
        "y is not an array of numbers",
    ),
    "nothing": (onnx.ModelProto, "is no ONNX file, or an empty one"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_runtime_should_see_is_refused(what: str) -> None:
    """Each is refused with a sentence that begins with the network's name."""
    make, sentence = REFUSED[what]
    with pytest.raises(ModelError, match=rf"^odd\.onnx.*{sentence}"):
        signature(make().SerializeToString(), "odd.onnx")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_damaged_files_are_sentences(runtime: str) -> None:
    """A file cut anywhere, and one with a byte changed, is refused with a ModelError or loads: nothing else happens."""
    whole, rng = graphs.convolution(half=True), np.random.default_rng(4)
    damaged = [whole[:end] for end in range(0, len(whole), 17)]
    for _ in range(100):
        at = int(rng.integers(len(whole)))
        damaged.append(whole[:at] + bytes([rng.integers(256)]) + whole[at + 1 :])
    refusals = []
    for data in damaged:
        try:
            open_network(data, "damaged.onnx", Options(), runtime)
        except ModelError as error:
            refusals.append(str(error))
    assert len(refusals) >= len(whole) // 17
    assert [text for text in refusals if not text.startswith("damaged.onnx")] == []


def test_a_network_with_other_kinds_of_pages_is_no_onnx() -> None:
    """What other frameworks write, and OpenVINO would read as well, is refused."""
    page = b'<?xml version="1.0"?><net name="n" version="11"><layers/></net>'
    for data in (page, b"", b"\x80\x04\x95", b"TFL3" + bytes(64), b"PK\x03\x04" + bytes(64)):
        with pytest.raises(ModelError, match="is no ONNX file"):
            open_network(data, "other", Options(), "openvino")
