"""The words of the prose linter: numbers, comparisons, results, and phrases that only look like them."""

import re

_NUMBER = r"(?<![\w.,/⟦^-])[-+−]?\d[\d,]*(?:\.\d+)?"
_RANGE = rf"(?:{_NUMBER}\s*(?:to|–|and|or)\s*)?"
_MANY = r"(?:two|three|four|five|six|seven|eight|nine|ten|twenty|fifty|(?:a )?hundred|(?:a )?thousand)"
_UNIT = (
    r"(?:\s*(?:times|seconds?|minutes?|hours?|days|[kMG]B)\b"
    r"|\s*×(?!\s*\d)|-?fold\b|\s+m?s\b|\s+(?:out )?of (?:the )?\d+\b)"
)

# A number about a result: a share or points, something with a unit, a bare decimal.
NUMBER = re.compile(
    rf"{_RANGE}(?P<share>{_NUMBER})\s*(?:%|per ?cent\b|(?:percentage )?points?\b)"
    rf"|{_RANGE}(?P<unit>{_NUMBER}){_UNIT}"
    r"|(?P<decimal>(?<![\w.,/⟦^-])[-+−]?\d+\.\d+(?![.\w]*\d))"
)

# A number about a result in words.
ABOUT = re.compile(
    rf"\b(?:about|nearly|almost|roughly|around|(?:hardly )?more than|less than)\s+"
    rf"(?:half|twice|a (?:third|quarter|tenth)|{_MANY} (?:times|points|per cent))\b",
    re.I,
)

COMPARISON = re.compile(
    r"\b(?:"
    r"higher|lower|better|worse|more|less|fewer|larger|smaller|greater|stronger|weaker|bigger|faster|slower|"
    r"cheaper|sharper|flatter|longer|shorter|best|worst|least|largest|smallest|highest|lowest|strongest|"
    r"weakest|fastest|slowest|cheapest|sharpest|flattest|most (?:of|robust|accurate)|the most|mostly|"
    rf"twice|half|a third|a quarter|double[sd]?|halve[sd]?|{_MANY}fold|(?:{_MANY}|many|several) times|"
    r"gains?|gained|loses?|lost|wins?|won|beats?|exceeds?|outperforms?|improves?|improved|suffers?|"
    r"falls?|fell|drops?|dropped|rises?|rose|grows?|grew|raises?|raised|lowers|lowered|shrinks?|"
    r"ahead|overtakes?|nearly as|as much|as many|as (?:good|accurate|robust|fast|flat|sharp) as|at equal"
    r")\b",
    re.I,
)

# A comparison counts when its sentence speaks of something measured or of a method.
RESULT = re.compile(
    r"\b(?:accurac(?:y|ies)|accurate|robust(?:ness|ly)?(?! (?:weight|feature|one))|errors?|generali[sz]\w+|"
    r"loss(?:es)?|seconds|compute|costs?|price|gains?|points|per cent|eigenvalues?|curvature|sharpness|"
    r"flatness|SGD|SAM|AT|ASAM|ESAM|LookSAM|FSAM|SSAM|AWP|n-SAM|1-SAM|PGD|FGSM|APGD\S*|AutoAttack|FAB\S*|"
    r"Square|networks?|classifiers?|early stopping|weight decay|(?:adversarial |standard )?training)\b"
)

# What may be is no result.
MODAL = re.compile(r"\b(?:may|might|could|would)\b", re.I)

# The value of an input, by its symbol or name (`ρ = 0.2`, `ρ = 0.1, 0.2 and 0.4`, `momentum 0.9`), an ε in
# steps of 1/255, and names that have numbers: exercises, sections, versions, papers.
_VALUE = r"[-+−]?\d+(?:\.\d+)?(?:/\d+)?(?: ?%)?"
_INPUT = (
    r"(?:(?:\b[pdkKnmT]|[αβγεηρστ]) ?(?:=|≤|≥|<|>)"
    r"|\b(?:momentum|weight decay|learning rate|temperature|step size|radius)(?: of)?)"
)
SETTING = re.compile(
    rf"{_INPUT} ?{_VALUE}(?:(?:, | and | or | to |, then ){_VALUE})*(?! ?points)"
    r"|\b\d+/(?:255|\d)\b"
    r"|\b(?:exercises?|sections?|chapters?|Python|pip|torch|version|release|(?:older|newer) than) ?\d[\d.]*"
    r"|§+ ?\d[\d.]*|\d+\.\d+\.\d+|arXiv:\S+"
)

# Words that look like a comparison or a result and are none, each with its reason.
PHRASES = [
    # bounds and idioms: no result is compared
    r"\bat (?:least|most|worst|best)\b(?! as\b)",
    r"\b(?:any|no|once|nothing|never|one) more\b|\bmore (?:than one|or less)\b|\bno longer\b",
    # the inner maximum of the min-max problems has a name; "is worst" is a verdict
    r"(?<!is )(?<!the )\bworst\b",
    r"\bworst[ -](?:case|δ|one|perturbation|point|input|loss|neighbourhood|attack|⟦math⟧|of)",
    # quantities that are defined as a maximum or a minimum
    r"\blargest (?:Hessian )?eigenvalue\b|\bthe lowest of several\b",
    r"\bbest (?:robust )?(?:weight|classifier)s?\b",
    # an attacker plays against a network
    r"\b(?:can|cannot) win\b",
    # these are cut in half by us, not found to be half
    r"\bhalf (?:of )?(?:the|a|each|its) (?:batch|pixel range|weights|images|width)\b",
    # the level of an interval, and a whole
    r"\b95 ?%(?= (?:\w+ )?intervals?)|\b100 ?%",
]
