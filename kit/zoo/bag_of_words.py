"""A bag of words: the weighted sum of its n-grams' embeddings, then one linear map (fastText, Joulin et al. 2017)."""

from torch import Tensor, nn

from kit.zoo._inputs import InputLayer, Inputs, Numbers


class BagOfWords(nn.Module):
    usual_lr = 5e-3

    def __init__(
        self,
        inputs: Inputs,
        *,
        width: int = 64,
        dropout: float = 0.2,
        numbers: Numbers = "piecewise",
        bins: int = 16,
        number_width: int = 8,
        category_width: int = 8,
    ):
        """
        width           of an n-gram's embedding
        dropout         0..1, share of what the embeddings sum up to that a training step leaves out
        numbers         as they are, or embedded piecewise-linearly or periodically
        bins            of a number's embedding; frequencies if it is periodic
        number_width    of a number's embedding
        category_width  of a category's embedding
        """
        super().__init__()
        self.given = InputLayer(inputs, numbers=numbers, bins=bins, number_width=number_width, category_width=category_width, ngram_width=width)
        self.drop = nn.Dropout(dropout)
        self.width = self.given.width
        self.last = nn.Linear(self.width, inputs.outputs) if inputs.outputs else nn.Identity()

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, outputs)"""
        return self.last(self.drop(self.features(batch)))

    def features(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, width)"""
        return self.given(batch)
