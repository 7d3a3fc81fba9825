"""Encoders that are exported, and run without torch: what they declare, and the parts that most are made of.

Public as `anybind.plugin.export`. The plugin `anybind_export` writes and loads exported encoders.
"""

from anybind.exporting import EncoderInput as EncoderInput
from anybind.exporting import ExportPlan as ExportPlan
from anybind.exporting import compute_shares as compute_shares
from anybind.exporting import create_input as create_input
from anybind.exporting import create_nested_input as create_nested_input
from anybind.image_input import ImageInput as ImageInput
from anybind.onnx_encoder import OnnxEncoder as OnnxEncoder
from anybind.onnx_network import OnnxNetwork as OnnxNetwork
from anybind.text_input import TextInput as TextInput
from anybind.text_input import encode_by_length as encode_by_length
