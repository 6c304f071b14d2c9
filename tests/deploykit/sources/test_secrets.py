from __future__ import annotations

import pytest

from deploykit.sources.secrets import in_command, is_evidently_plain

PLAIN = [
    ("NODE_ENV", "production"), ("A", ""), ("FLAG", "true"), ("N", "3600000"), ("TZ", "Europe/Berlin"),
    ("JOBS_MODULE", "runtime.demo"), ("DEPLOYKIT_PROFILE", "100-users"), ("FRONTEND_URL", "https://app.example.com"),
    ("LOG_LEVEL", "DEBUG"), ("DATABASE_URL", "${{MySQL.MYSQL_URL}}"), ("JWT_SECRET", "${{shared.JWT_SECRET}}"),
    ("BROKER", "amqp://${{Rabbit.USER}}:${{Rabbit.PASSWORD}}@${{Rabbit.HOST}}:5672/jobs"), ("CRON", "*/5 * * * *"),
    ("CHARSET", "utf8mb4"), ("TIMEOUT", "30s"), ("ORIGINS", "https://a.example.com,https://b.example.com"),
    ("SERVICE", "publicApi"),
]  # fmt: skip
DOUBTFUL = [
    ("NODE_ENV", "marked-live-93be77"), ("PAYMENT_KEY", "production"), ("DATABASE_URL", "mysql://app:hunter@db/app"),
    ("SENTRY_DSN", "https://o1.ingest.sentry.io/1"), ("X", "sk_live_abcdefghijklmnop"),
    ("ID", "550e8400-e29b-41d4-a716-446655440000"), ("BLOB", "aGVsbG8gd29ybGQ"), ("JSON", '{"a": 1}'),
    ("PIN", "1234"), ("HEADER", "Bearer ${{shared.X}} 9f8e7d6c"), ("URL", "https://example.com/?token=abc"),
    ("BROKER", "amqp://${{R.USER}}:hunter2@${{R.HOST}}/jobs"), ("LINES", "a\nb"), ("NUMBER", "12345678901234"),
    ("KEYED", "-----BEGIN PRIVATE KEY-----"), ("WORD", "correcthorsebatterystaple"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), PLAIN)
def test_a_setting_is_evidently_plain(name: str, text: str) -> None:
    assert is_evidently_plain(name, text)


@pytest.mark.parametrize(("name", "text"), DOUBTFUL)
def test_what_may_be_a_secret_is_not_evidently_plain(name: str, text: str) -> None:
    assert not is_evidently_plain(name, text)


@pytest.mark.parametrize(
    "command",
    [
        "JWT_SECRET=hunter node x.js",
        "node x.js --api-key hunter",
        "node x.js --api-key=hunter",
        "migrate mysql://app:hunter@db/app",
        "node x.js sk_live_abcdefghijklmnop",
    ],
)
def test_a_command_with_a_secret_is_known(command: str) -> None:
    assert in_command(command)


@pytest.mark.parametrize(
    "command",
    [
        "npm run set-password && node x.js",
        "node x.js --api-key $API_KEY",
        "node x.js --rotate-token --verbose",
        "node x.js --token-file /run/token",
        "NODE_ENV=production exec node --max-old-space-size=256 dist/index.js",
    ],
)
def test_a_command_that_only_speaks_of_secrets_holds_none(command: str) -> None:
    assert in_command(command) is None
