#pragma once

#include "halftone/models/architecture.hpp"

namespace halftone::internal {

/// CIFAR ResNets of depth 6n+2 with option-A shortcuts: cifar_resnet20, cifar_resnet56 … Source: He et al., Deep
/// Residual Learning for Image Recognition, 2015, section 4.2.
ArchitectureFamily cifar_resnets();

/// The same for grey images of 28 x 28, to be trained: fashion_resnet8, fashion_resnet20 …
ArchitectureFamily fashion_resnets();

/// MobileNet v1, width 0.75, as TensorFlow has it. Source: Howard et al., MobileNets: Efficient Convolutional Neural
/// Networks for Mobile Vision Applications, 2017.
ArchitectureFamily mobilenet_v1();

/// MobileNet v2, width 1, with torchvision's names. Source: Sandler et al., MobileNetV2: Inverted Residuals and Linear
/// Bottlenecks, 2018.
ArchitectureFamily mobilenet_v2();

/// EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation, with ReLU6, and stem and head unscaled. Source:
/// Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, 2019; the changes are those of
/// TensorFlow's EfficientNet-Lite, 2020.
ArchitectureFamily efficientnet_lite0();

/// ResNet-18 and ResNet-34 with torchvision's names. Source: He et al., 2015, table 1.
ArchitectureFamily resnet18();
ArchitectureFamily resnet34();

/// ResNet-50 with torchvision's names. Source: He et al., 2015, table 1; as in torchvision the 3x3 convolution of a
/// block has the stride, not the first one.
ArchitectureFamily resnet50();

/// DS-CNN for keyword spotting, as in MLPerf Tiny. Source: Zhang et al., Hello Edge: Keyword Spotting on
/// Microcontrollers, 2017; Banbury et al., MLPerf Tiny Benchmark, 2021.
ArchitectureFamily kws_dscnn();

/// BERT-base with pooler and two classes, of texts of any length: bert_base is counted and timed at 128 tokens,
/// bert_base_32 at 32 and so on to 512. Inputs are token ids alone: all of token type 0, none padded. Source: Devlin et
/// al., BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding, 2018.
ArchitectureFamily bert_bases();

/// all-MiniLM-L6-v2, an encoder of sentences: token ids and attention mask [n, tokens] to embeddings [n, 384] of length
/// 1, the mean over tokens that the mask has. Timed at 128 tokens, minilm_l6_32 at 32 and so on. Source: Wang et al.,
/// MiniLM: Deep Self-Attention Distillation, 2020; Reimers and Gurevych, Sentence-BERT, 2019.
ArchitectureFamily minilm_l6();

}  // namespace halftone::internal
