"""What looks like a secret, and how to speak of a value without showing it."""

from __future__ import annotations

import math
import re
from collections import Counter

from deploykit.sources.pattern import pattern

_NAME = pattern(
    r"PASSWORD\Z|(^|_)(SECRET|SECRETS|PASS|PASSWD|PWD|PASSPHRASE|TOKEN|APIKEY|API_KEY|PRIVATE_KEY|SECRET_KEY|ACCESS_KEY|"
    r"ENCRYPTION_KEY|SIGNING_KEY|MASTER_KEY|SERVICE_ROLE_KEY|SECRET_KEY_BASE|CREDENTIALS|AUTH_KEY|LICENSE_KEY|PAT|PEPPER)\Z",
    re.IGNORECASE,
)
_PUBLIC = pattern(
    r"PUBLIC|PUBLISHABLE|SITE_KEY|_ID\Z|_SHA\d*\Z|HASH|DIGEST|VERSION|COMMIT|CHECKSUM|_ARN\Z|_URL\Z|_URI\Z|_PATH\Z|_FILE\Z",
    re.IGNORECASE,
)
_SHAPES = (
    ("a private key", pattern(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    ("a GitHub token", pattern(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{40,})")),
    ("an AWS access key", pattern(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a Stripe secret key", pattern(r"\b(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{10,}")),
    ("a webhook secret", pattern(r"\bwhsec_[A-Za-z0-9]{16,}")),
    ("a Slack token", pattern(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}")),
    ("an API key", pattern(r"\bsk-[A-Za-z0-9_-]{20,}")),
    ("a Google API key", pattern(r"\bAIza[0-9A-Za-z_-]{35}")),
    ("a SendGrid key", pattern(r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}")),
    ("an npm token", pattern(r"\bnpm_[A-Za-z0-9]{30,}")),
    ("a GitLab token", pattern(r"\bglpat-[A-Za-z0-9_-]{20,}")),
    ("a Telegram token", pattern(r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{32,}")),
    (
        "a webhook's address",
        pattern(r"hooks\.slack\.com/services/\w+/\w+/\w{16,}|discord\w*\.com/api/webhooks/\d+/[\w-]{20,}"),
    ),
    ("an encryption key", pattern(r"\bbase64:[A-Za-z0-9+/]{40,}={0,2}")),
    ("a signed token", pattern(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")),
)
_URL_PASSWORD = pattern(r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}://[^/\s:@]{0,200}:([^@\s/]{1,2000})@", re.IGNORECASE)
_GO_PASSWORD = pattern(r"[^\s:@/]{1,200}:([^@\s]{1,2000})@(?:tcp|unix)\(")
_PLACEHOLDER = pattern(
    r"<[^<>@]*>\Z|\[[a-z][a-z0-9 _.-]*\]\Z|\{\{?\s*[a-z][a-z0-9 _.-]*\}\}?\Z|(?:x{3,}|\*{3,}|\.{3,}|_{3,}|-{3,})\Z|"
    r"(?:change[-_ ]?(?:me|this|it)(?![a-z])|replace[-_ ]?(?:me|this|with\b)|your[-_ ]|(?-i:TODO|FIXME|TBD)\b|"
    r"placeholder|(?:insert|enter|put)[-_ ](?:your|the|a|here|in)\b|example\Z|dummy\Z|"
    r"my[-_](?:secret|password|token|key)\Z|secret[-_]here\Z|set[-_ ](?:me|this|in)\b)",
    re.IGNORECASE,
)
_MASKED = pattern(
    r"\A(?:sk|pk|rk|re|xox[a-z]|gh[a-z]|glpat|whsec|key|SG|AIza)(?:[-_](?:test|live|ant|proj))?[-_.](?:your[-_]|\.{3}|…)|"
    r"x{6,}|X{6,}|\*{6,}|[-_]change[-_]?(?:me|this|it|in)(?![a-z])|EXAMPLE(?:KEY)?\Z"
)
"""A key with its head on and the rest masked, as manuals print them: ``sk-your-api-key``, ``ghp_xxxxxxxx``."""
_VARIABLE = pattern(r"\$\{?\{?[A-Za-z_]|\$\(")
_WORDS = pattern(r"(?:true|false|null|none|yes|no|on|off)\Z", re.IGNORECASE)
_NUMBER = pattern(r"[0-9]+(?:ms|s|m|h|d)?\Z", re.IGNORECASE)
_ELSEWHERE = pattern(
    r"\.{0,2}/|[a-z][a-z0-9+.-]{1,30}://|arn:|encrypted:|ENC\[|[\w./-]+\.(?:pem|key|json|crt|cer|p12|pfx|jks|txt)\Z"
)
"""Where a secret is kept (a file, a vault's address), or the secret in a form that only its key opens."""
_BROWSER = pattern(r"(?:NEXT_PUBLIC|NUXT_PUBLIC|EXPO_PUBLIC|PUBLIC|VITE|REACT_APP|VUE_APP|GATSBY)_|.*_ANON_KEY\Z")
_GIVEN_OUT = pattern(r"pk[._]|phc_")
"""How keys begin that their makers call public."""
_PRIVATE = pattern(r"SECRET|PASSW|PRIVATE|SERVICE_ROLE")
_FOR_BROWSERS = frozenset(["a signed token", "a Google API key"])
"""Keys that are public by design where a bundler puts them into the page."""
_BLOB = pattern(r"[A-Za-z0-9+/=_-]{32,}\Z")
_CHECKSUM = pattern(r"sha(?:1|256|384|512)-")
_UUID = pattern(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z", re.IGNORECASE)


def is_placeholder(text: str) -> bool:
    """Whether a value waits to be replaced by a person: ``<your-secret>``, ``changeme``."""
    stripped = text.strip()
    return bool(_PLACEHOLDER.match(stripped) or ("://" not in stripped and _MASKED.search(stripped)))


def url_password(text: str) -> str | None:
    """The password inside a URL when it is written out."""
    match = _URL_PASSWORD.search(text) if "://" in text else _GO_PASSWORD.match(text)
    if not match or _VARIABLE.search(match.group(1)) or is_placeholder(match.group(1)):
        return None
    return match.group(1)


_SAMPLE = pattern(
    r"(?:(?:my|your|the|db|a|some|app|dev|test|local)?[-_]?)?(?:password|passwd|pass|pw|pwd|postgres|mysql|root|user|"
    r"username|admin|secret|example|dummy|test|app|key|token|development|dev|x+|\*+)[-_]?[0-9]{0,4}\Z",
    re.IGNORECASE,
)
_WORD = r"(?:[a-z]+|[A-Z]+|[A-Z][a-z]+|[0-9]{1,2})[0-9]{0,4}"
_PROSE = pattern(rf"{_WORD}(?:[-_ ./`]+{_WORD})*[!?.`]*\Z")
"""Words that a person reads, which is what stands for a secret in an example."""
_LOCAL_HOST = pattern(
    r"@(?:localhost|127\.0\.0\.1|\[::1\]|host(?:\.docker\.internal)?|db|database|mysql|mariadb|"
    r"postgres|postgresql|redis|cache|mongo|mongodb|rabbitmq|HOST)(?![\w.-])"
)


def is_sample(text: str, *, example: bool = False, build: bool = False) -> bool:
    """Whether a secret is for show only: a dummy in an example, or a dummy password of a database on this machine.

    In an example, and while an image is built, any password of such a database is one: nobody reaches it from outside.
    """
    password = url_password(text)
    if password is None:
        return example and shape(text) is None and bool(_SAMPLE.match(text.strip()) or _PROSE.match(text.strip()))
    local = bool(_LOCAL_HOST.search(text))
    return ((build or example) and local) or (bool(_SAMPLE.match(password)) and (example or local))


def secret_name(name: str) -> bool:
    """Whether a variable of this name holds a secret."""
    return bool(_NAME.search(name)) and not re.search(r"PUBLIC|PUBLISHABLE", name, re.IGNORECASE)


def shape(text: str) -> str | None:
    """What kind of secret stands somewhere in a text, told by its shape alone."""
    for words, look in _SHAPES:
        if look.search(text):
            return words
    return "a URL with its password" if url_password(text) else None


def looks_secret(name: str, text: str) -> str | None:
    """What kind of secret a value is, None when it is none."""
    stripped = text.strip().strip("\"'")
    if not stripped or "${{" in stripped or is_placeholder(stripped):
        return None
    shaped = shape(stripped)
    bundled = bool(_BROWSER.match(name)) and not _PRIVATE.search(name)
    if shaped and not (bundled and shaped in _FOR_BROWSERS):
        return shaped
    if bundled or name.startswith("DOTENV_VAULT"):
        return None
    if secret_name(name):
        if _WORDS.match(stripped) or _ELSEWHERE.match(stripped) or _VARIABLE.match(stripped):
            return None
        if _GIVEN_OUT.match(stripped) or stripped.endswith(("...", "…")):
            return None
        # 3600 is a token's lifetime; a password of digits is a password.
        if _NUMBER.match(stripped) and not re.search(r"PASS|PWD", name, re.IGNORECASE):
            return None
        return "a secret by its name"
    if _PUBLIC.search(name) or _UUID.match(stripped) or not _BLOB.match(stripped) or _CHECKSUM.match(stripped):
        return None
    if re.fullmatch(r"[0-9a-f]{32,}|[0-9A-F]{32,}", stripped):
        return (
            "a random key"
            if re.search(r"KEY|SALT|AUTH|SIGN|CRYPT", name, re.IGNORECASE) and _entropy(stripped) > 3
            else None
        )
    mixed = re.search(r"[a-z]", stripped) and re.search(r"[A-Z]", stripped) and re.search(r"[0-9]", stripped)
    return "a random key" if mixed and _entropy(stripped) >= 4.2 else None


def masked(name: str, text: str) -> str:
    """A value for a message: shown when it is harmless, hidden when name or shape suggests a secret."""
    if secret_name(name) or looks_secret(name, text) or "://" in text:
        return "(hidden)"
    shown = text if len(text) <= 40 else text[:37] + "…"
    return repr(shown)


def _entropy(text: str) -> float:
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


_HINT = pattern(
    r"SECRET|PASS|PWD|TOKEN|KEY|AUTH|CRED|PRIVATE|SALT|PEPPER|SIGN|CRYPT|CERT|COOKIE|SESSION|WEBHOOK|DSN|SEED|MNEMONIC|"
    r"PHRASE|LICEN[CS]E|HASH|(^|_)(PIN|PAT|OTP|JWT|PW|HMAC|NONCE)(_|\Z)",
    re.IGNORECASE,
)
_TOKENS = pattern(r"[^ .,:;/_+*-]+")
_SEPARATED = pattern(r"[A-Za-z0-9 .,:;/_+*-]*\Z")
_EVIDENT = pattern(
    r"(?:[a-z]{1,16}|[A-Z]{1,16}|[A-Z]?[a-z]{2,15}(?:[A-Z][a-z]{2,15}){0,3}|[0-9]{1,10}(?:ms|s|m|h|d|[kmg]i?b)?|"
    r"[A-Za-z]{1,12}[0-9]{1,2}(?:mb[0-9])?)\Z"
)
_REFERENCES = pattern(r"\$\{\{[^{}]*\}\}")
_REFERRED_LOGIN = pattern(r"://\$\{\{[^{}]*\}\}(?::\$\{\{[^{}]*\}\})?@")
_MOST_PLAIN_TOKENS = 16


def is_evidently_plain(name: str, text: str) -> bool:
    """Whether a value can be nothing but a plain setting: words, numbers, addresses without a login, references.

    The other way round than `looks_secret`: what is not understood is taken for a secret. For values that come from
    outside and would be written into a file.
    """
    rest = _REFERENCES.sub("", _REFERRED_LOGIN.sub("://", text))
    if not rest.strip():
        return True
    tokens = _TOKENS.findall(rest)
    if _HINT.search(name) or not _SEPARATED.match(rest) or len(tokens) > _MOST_PLAIN_TOKENS:
        return False
    return all(_EVIDENT.match(token) for token in tokens) and shape(rest) is None


_ARGUMENT = pattern(
    r"(?:(?<!\S)--?(?P<option>[A-Za-z][\w-]*)[= ]|(?<![\w-])(?P<name>[A-Za-z_]\w*)=)(?P<value>[^\s;&|-]\S*)"
)


def in_command(command: str) -> str | None:
    """What kind of secret a command holds, by its shape, or by the name of the option or variable it is given to."""
    for argument in _ARGUMENT.finditer(command):
        name = (argument["option"] or argument["name"]).replace("-", "_")
        if kind := looks_secret(name, argument["value"]):
            return kind
    return shape(command)
