"""Public networks, built small from their configurations with random weights, and what they are given.

One list for the tests and for ``python -m benchmarks.networks``. Each is a function that makes the model, a batch of
`N_SAMPLES` for it, and what turns the model and the batch into logits.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

N_SAMPLES = 6
N_CLASSES = 2


@dataclass(frozen=True)
class Built:
    """A model and how it is used.

    Attributes
    ----------
    model : nn.Module
        The model.
    batch : dict of str to Tensor
        What `forward` is given, apart from the model; floating-point tensors follow the precision of the test.
    forward : callable
        Takes the model and the batch, and gives the logits, shape (sample, class).
    options : dict
        Arguments of the recorder that the network needs.
    """

    model: nn.Module
    batch: dict[str, Tensor]
    forward: Callable[[nn.Module, dict[str, Tensor]], Tensor]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """An entry of the list.

    Attributes
    ----------
    name : str
        Name of the network.
    package : str
        Distribution that it comes from.
    build : callable
        Builds it.
    """

    name: str
    package: str
    build: Callable[[], Built]

    @property
    def version(self) -> str:
        """Version of the distribution."""
        return version(self.package)


NETWORKS: dict[str, Network] = {}


def network(name: str, package: str) -> Callable[[Callable[[], Built]], Callable[[], Built]]:
    """Enter a network in the list."""

    def enter(build: Callable[[], Built]) -> Callable[[], Built]:
        NETWORKS[name] = Network(name, package, build)
        return build

    return enter


def tokens(length: int = 12, size: int = 1000) -> dict[str, Tensor]:
    """Numbers of words."""
    return {"input_ids": torch.randint(5, size, (N_SAMPLES, length))}


def logits_of(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """What a model of transformers gives for classes."""
    return model(**batch).logits


def plain(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """What a model gives that takes one tensor."""
    return model(batch["x"])


# transformers

_TEXT = {
    "vocab_size": 1000, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 32, "num_labels": N_CLASSES, "pad_token_id": 0,
}  # fmt: skip
_WORDS: dict[str, Any] = {"extras": ["embedding"]}
_IMAGE = {"image_size": 32, "num_channels": 3, "num_labels": N_CLASSES}


def _enter_texts() -> None:
    """Text classifiers that differ in their class and a few words of their configuration."""
    kinds: dict[str, dict[str, Any]] = {
        "Bert": {},
        "Roberta": {},
        "Electra": {"embedding_size": 16},
        "Albert": {"embedding_size": 8},
        "DistilBert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24},
        "DebertaV2": {},
        "ModernBert": {"global_attn_every_n_layers": 1, "local_attention": 8},
        "Llama": {"num_key_value_heads": 1},
        "Mistral": {"num_key_value_heads": 1},
        "Qwen3": {"num_key_value_heads": 1, "head_dim": 8},
        "Gemma": {"num_key_value_heads": 1, "head_dim": 8},
        "OPT": {"ffn_dim": 24, "word_embed_proj_dim": 16},
        "GPT2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32},
        "GPTNeoX": {},
    }
    for kind, changes in kinds.items():

        def build(kind: str = kind, changes: dict[str, Any] = changes) -> Built:
            import transformers

            config = getattr(transformers, f"{kind}Config")(**(_TEXT | changes))
            model = getattr(transformers, f"{kind}ForSequenceClassification")(config)
            flattened = {"rows": "sample-major"} if kind == "OPT" else {}
            return Built(model, tokens(), logits_of, _WORDS | flattened)

        network(kind, "transformers")(build)


_enter_texts()


@network("T5 encoder", "transformers")
def _t5() -> Built:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(vocab_size=1000, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2)
    model = nn.ModuleDict({"encoder": T5EncoderModel(config), "readout": nn.Linear(16, N_CLASSES)})

    def forward(model: Any, batch: dict[str, Tensor]) -> Tensor:
        return model["readout"](model["encoder"](**batch).last_hidden_state.mean(1))

    return Built(model, tokens(), forward, _WORDS)


@network("Mamba", "transformers")
def _mamba() -> Built:
    from transformers import MambaConfig, MambaModel

    config = MambaConfig(vocab_size=1000, hidden_size=16, num_hidden_layers=2, state_size=4)
    model = nn.ModuleDict({"mamba": MambaModel(config), "readout": nn.Linear(16, N_CLASSES)})

    def forward(model: Any, batch: dict[str, Tensor]) -> Tensor:
        return model["readout"](model["mamba"](**batch).last_hidden_state[:, -1])

    return Built(model, tokens(), forward, _WORDS)


@network("ViT", "transformers")
def _vit() -> Built:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(**(_TEXT | _IMAGE), patch_size=8)
    return Built(ViTForImageClassification(config), {"pixel_values": torch.randn(N_SAMPLES, 3, 32, 32)}, logits_of)


@network("Swin", "transformers")
def _swin() -> Built:
    from transformers import SwinConfig, SwinForImageClassification

    config = SwinConfig(**_IMAGE, patch_size=4, embed_dim=8, depths=[2, 2], num_heads=[2, 2], window_size=4)
    batch = {"pixel_values": torch.randn(N_SAMPLES, 3, 32, 32)}
    return Built(SwinForImageClassification(config), batch, logits_of, {"rows": "sample-major"})


@network("ConvNeXt", "transformers")
def _convnext() -> Built:
    from transformers import ConvNextConfig, ConvNextForImageClassification

    config = ConvNextConfig(**_IMAGE, depths=[1, 1, 1, 1], hidden_sizes=[8, 12, 16, 20])
    batch = {"pixel_values": torch.randn(N_SAMPLES, 3, 32, 32)}
    return Built(ConvNextForImageClassification(config), batch, logits_of)


@network("Whisper", "transformers")
def _whisper() -> Built:
    from transformers import WhisperConfig, WhisperForAudioClassification

    config = WhisperConfig(
        d_model=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=24, decoder_layers=1,
        decoder_attention_heads=2, decoder_ffn_dim=24, num_mel_bins=8, max_source_positions=20, vocab_size=1000,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, num_labels=N_CLASSES,
        classifier_proj_size=8,
    )  # fmt: skip
    batch = {"input_features": torch.randn(N_SAMPLES, 8, 40)}
    return Built(WhisperForAudioClassification(config), batch, logits_of)


@network("wav2vec 2.0", "transformers")
def _wav2vec2() -> Built:
    from transformers import Wav2Vec2Config, Wav2Vec2ForSequenceClassification

    config = Wav2Vec2Config(
        **_TEXT, conv_dim=(8, 8), conv_stride=(5, 2), conv_kernel=(10, 3), num_feat_extract_layers=2,
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, classifier_proj_size=8, apply_spec_augment=False,
    )  # fmt: skip
    batch = {"input_values": torch.randn(N_SAMPLES, 200)}
    return Built(Wav2Vec2ForSequenceClassification(config), batch, logits_of)


@network("PatchTST", "transformers")
def _patchtst() -> Built:
    from transformers import PatchTSTConfig, PatchTSTForClassification

    config = PatchTSTConfig(
        num_input_channels=5, num_targets=N_CLASSES, context_length=24, patch_length=6, patch_stride=6, d_model=16,
        num_attention_heads=2, num_hidden_layers=2, ffn_dim=24, use_cls_token=True,
    )  # fmt: skip
    batch = {"past_values": torch.randn(N_SAMPLES, 24, 5)}
    return Built(
        PatchTSTForClassification(config),
        batch,
        lambda model, batch: model(**batch).prediction_logits,
        {"rows": "sample-major"},
    )


# timm and torchvision


def _enter_images() -> None:
    kinds: dict[str, tuple[int, dict[str, Any]]] = {
        "resnet10t": (32, {}),
        "densenet121": (32, {}),
        "efficientnet_b0": (32, {}),
        "mobilenetv3_small_050": (32, {}),
        "regnetx_002": (32, {}),
        "convnext_atto": (32, {}),
        "vit_tiny_patch16_224": (32, {"img_size": 32, "depth": 2}),
        "swin_tiny_patch4_window7_224": (56, {"img_size": 56, "embed_dim": 24, "depths": (2, 2), "num_heads": (2, 2)}),
        "mixer_s32_224": (64, {"img_size": 64}),
        "nfnet_f0": (32, {}),
        "coat_lite_tiny": (32, {"img_size": 32}),
    }
    for name, (side, changes) in kinds.items():

        def build(name: str = name, side: int = side, changes: dict[str, Any] = changes) -> Built:
            import timm

            model = timm.create_model(name, pretrained=False, num_classes=N_CLASSES, **changes)
            options = {"rows": "sample-major"} if "swin" in name else {}
            return Built(model, {"x": torch.randn(N_SAMPLES, 3, side, side)}, plain, options)

        network(f"timm {name}", "timm")(build)


_enter_images()


def _enter_torchvision() -> None:
    kinds: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
        "resnet18": ((3, 32, 32), {}),
        "mobilenet_v2": ((3, 32, 32), {}),
        "shufflenet_v2_x0_5": ((3, 32, 32), {}),
        "swin_t": ((3, 32, 32), {"rows": "sample-major"}),
        "video.r3d_18": ((3, 4, 16, 16), {}),
        "video.r2plus1d_18": ((3, 4, 16, 16), {}),
    }
    for name, (shape, options) in kinds.items():

        def build(name: str = name, shape: tuple[int, ...] = shape, options: dict[str, Any] = options) -> Built:
            import torchvision

            model = torchvision.models.get_model(name.rpartition(".")[2], weights=None, num_classes=N_CLASSES)
            return Built(model, {"x": torch.randn(N_SAMPLES, *shape)}, plain, options)

        network(f"torchvision {name}", "torchvision")(build)


_enter_torchvision()


# braindecode: six channels, four seconds at 64 Hz


def _enter_braindecode() -> None:
    kinds: dict[str, dict[str, Any]] = {
        "EEGNet": {},
        "ShallowFBCSPNet": {},
        "Deep4Net": {},
        "EEGConformer": {},
        "ATCNet": {},
        "BDTCN": {},
        "EEGInceptionERP": {},
        "EEGTCNet": {},
        "TIDNet": {},
        "BIOT": {},
        "SincShallowNet": {},
        "AttentionBaseNet": {},
        "EEGNeX": {},
        "DeepSleepNet": {},
        "MSVTNet": {},
        "CTNet": {},
    }
    for name, changes in kinds.items():

        def build(name: str = name, changes: dict[str, Any] = changes) -> Built:
            import braindecode.models

            made = getattr(braindecode.models, name)
            shape = {"n_chans": 6, "n_times": 512, "n_outputs": N_CLASSES, "sfreq": 128}
            options = {"rows": "sample-major"} if name == "BDTCN" else {}
            return Built(made(**(shape | changes)), {"x": torch.randn(N_SAMPLES, 6, 512)}, plain, options)

        network(f"braindecode {name}", "braindecode")(build)


_enter_braindecode()


# MONAI


def _enter_monai() -> None:
    volume = (1, 32, 32, 32)
    classifiers: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
        "DenseNet121": (volume, {"spatial_dims": 3, "in_channels": 1, "out_channels": N_CLASSES}),
        "resnet10": (volume, {"spatial_dims": 3, "n_input_channels": 1, "num_classes": N_CLASSES}),
        "SEResNet50": ((1, 32, 32), {"spatial_dims": 2, "in_channels": 1, "num_classes": N_CLASSES}),
        "EfficientNetBN": (
            (1, 32, 32),
            {"model_name": "efficientnet-b0", "pretrained": False, "spatial_dims": 2, "in_channels": 1,
             "num_classes": N_CLASSES},
        ),
    }  # fmt: skip
    segmenters: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
        "UNet": (volume, {"channels": (4, 8, 16), "strides": (2, 2)}),
        "BasicUNet": (volume, {"features": (4, 4, 8, 8, 8, 4)}),
        "SegResNet": (volume, {"init_filters": 8}),
        "AutoEncoder": (volume, {"channels": (4, 8, 16), "strides": (2, 2, 2)}),
        "VNet": (volume, {}),
        "UNETR": (volume, {"img_size": 32, "feature_size": 4, "hidden_size": 16, "mlp_dim": 24, "num_heads": 2}),
    }
    for name, (shape, changes) in classifiers.items():

        def build(name: str = name, shape: tuple[int, ...] = shape, changes: dict[str, Any] = changes) -> Built:
            import monai.networks.nets

            return Built(getattr(monai.networks.nets, name)(**changes), {"x": torch.randn(2, *shape)}, plain)

        network(f"MONAI {name}", "monai")(build)
    for name, (shape, changes) in segmenters.items():

        def build_segmenter(
            name: str = name, shape: tuple[int, ...] = shape, changes: dict[str, Any] = changes
        ) -> Built:
            import monai.networks.nets

            given = {"in_channels": 1, "out_channels": N_CLASSES}
            given |= {} if name in ("UNETR",) else {"spatial_dims": 3}

            def forward(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
                return model(batch["x"]).flatten(2).mean(2)

            return Built(getattr(monai.networks.nets, name)(**given, **changes), {"x": torch.randn(2, *shape)}, forward)

        network(f"MONAI {name}", "monai")(build_segmenter)


_enter_monai()


# torch-geometric: graphs of equal size, as those of brain regions are


def _enter_graphs() -> None:
    for name in ("GCN", "GAT", "GraphSAGE", "GIN", "PNA", "EdgeCNN"):

        def build(name: str = name) -> Built:
            import torch_geometric.nn

            n_nodes = 7
            more = {"aggregators": ["mean"], "scalers": ["identity"], "deg": torch.tensor([0, 0, 7])}
            body = getattr(torch_geometric.nn.models, name)(5, 8, 2, 8, **(more if name == "PNA" else {}))
            model = nn.ModuleDict({"body": body, "readout": nn.Linear(8, N_CLASSES)})
            ring = torch.arange(n_nodes)
            edges = torch.cat([torch.stack([ring, ring.roll(1)]), torch.stack([ring.roll(1), ring])], dim=1)
            whole = torch.cat([edges + graph * n_nodes for graph in range(N_SAMPLES)], dim=1)
            batch = {"x": torch.randn(N_SAMPLES * n_nodes, 5), "edges": whole}

            def forward(model: Any, batch: dict[str, Tensor]) -> Tensor:
                nodes = model["body"](batch["x"], batch["edges"])
                return model["readout"](nodes.view(N_SAMPLES, n_nodes, -1).mean(1))

            return Built(model, batch, forward, {"rows": "sample-major"})

        network(f"PyG {name}", "torch-geometric")(build)


_enter_graphs()


# peft: adapters of a text classifier


def _enter_adapters() -> None:
    target = {"target_modules": ["query", "value"]}
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "LoRA": ("LoraConfig", target | {"r": 4}),
        "DoRA": ("LoraConfig", target | {"r": 4, "use_dora": True}),
        "LoHa": ("LoHaConfig", target | {"r": 4}),
        "LoKr": ("LoKrConfig", target | {"r": 4}),
        "IA3": ("IA3Config", target | {"feedforward_modules": []}),
        "prompt tuning": ("PromptTuningConfig", {"num_virtual_tokens": 4}),
    }
    for name, (kind, changes) in kinds.items():

        def build(kind: str = kind, changes: dict[str, Any] = changes) -> Built:
            import peft
            from transformers import BertConfig, BertForSequenceClassification

            bert = BertForSequenceClassification(BertConfig(**_TEXT))
            model = peft.get_peft_model(bert, getattr(peft, kind)(task_type="SEQ_CLS", **changes))
            return Built(model, tokens(), logits_of)

        network(f"peft {name}", "peft")(build)


_enter_adapters()
