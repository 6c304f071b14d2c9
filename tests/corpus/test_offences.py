"""What is wrong is found by its rule, exactly where it stands: variants that no manual shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from deploykit.rules._rule import Example
from tests.corpus.configurations import (
    DAEMON,
    FLAGS_WEB,
    PATH,
    WEB,
    from_image,
    python,
    sourced,
    started,
    typescript,
    whole,
)
from tests.deploykit.rules.linting import findings_in


def dotenv(line: str, path: str = "web.env") -> Mapping[str, str]:
    """One line of a .env file."""
    return {path: f"{line}\n"}


OFFENCES: dict[str, tuple[str, Mapping[str, str]]] = {
    "Laravel's key": ("DK406", dotenv("APP_KEY=«base64:2fl+Ktvkfl+Fuz4Qp/A75G2RTiWVA/ZoKZvp6fiiM10=»")),
    "a mail password": ("DK406", dotenv("SMTP_PASS=«hunter2horse»")),
    "PostgreSQL's own name for a password": ("DK406", dotenv("PGPASSWORD=«s3cretpw9»")),
    "MySQL's own name for a password": ("DK406", dotenv("MYSQLPASSWORD=«s3cretpw9»")),
    "a GitLab token": ("DK406", dotenv("GL=«glpat-AbCdEf1234567890AbCd»")),
    "a webhook's address": ("DK406", dotenv("HOOK=«https://hooks.slack.com/services/T00/B00/AbCdEf1234567890AbCd»")),
    "the address of a Go driver": ("DK406", dotenv("DB_DSN=«app:AbC123xYz987@tcp(db.acme.dev:3306)/app»")),
    "a secret behind a public name": ("DK406", dotenv("VITE_STRIPE_SECRET=«sk_live_0123456789abcdef»")),
    "a real key in an example": ("DK406", dotenv("JWT_SECRET=«9f2c8a41d7e64b0c»", ".env.example")),
    "a real address in an example": (
        "DK406",
        dotenv("DATABASE_URL=«mysql://root:QwErTy12AsDf@monorail.proxy.rlwy.net:3306/railway»", ".env.example"),
    ),
    "seconds in a computed number": ("DK201", typescript(('"3600000"', "String(«3600»)"))),
    "seconds in a constant": (
        "DK201",
        typescript(('"3600000"', "HOUR"), ("  const db", "  const HOUR = «'3600'»\n  const db")),
    ),
    "seconds in a template": (
        "DK201",
        typescript(('"3600000"', "«`${HOUR}`»"), ("  const db", "  const HOUR = 3600;\n  const db")),
    ),
    "seconds in Python": ("DK201", python(('"3600000"', "str(«3600»)"))),
    "seconds in a Python constant": (
        "DK201",
        python(('"3600000"', "POLL"), ("COMMON =", 'POLL: str = «"3600"»\nCOMMON =')),
    ),
    "seconds in an f-string": ("DK201", python(('"3600000"', '«f"{POLL}"»'), ("COMMON =", "POLL = 3600\nCOMMON ="))),
    "a second daemon in TypeScript": ("DK101", typescript(('ENABLED: "false"', "ENABLED: String(«true»)"))),
    "a flag that joined maps leave out": (
        "DK103",
        python(
            ("env={\n            **COMMON,", "«env»=COMMON | {"),
            ('            "SCHEDULE_DAEMON_ENABLED": "false",\n', ""),
        ),
    ),
    "Python's own truth": ("DK401", python(('"EMBEDDED_JOB_WORKER": "true"', '"EMBEDDED_JOB_WORKER": «True»'))),
    "a value given twice in one map": ("DK002", typescript(("{ ...common, EMB", '{ ...common, A: "1", «A»: "2", EMB'))),
    "a table that is declared twice": (
        "DK001",
        {"railway.toml": '[deploy]\nstartCommand = "node x.js"\n\n«[deploy]»\nhealthcheckPath = "/health"\n'},
    ),
    "Railway's own variable with another unit": ("DK403", dotenv("«RAILWAY_HEALTHCHECK_TIMEOUT_SECONDS»=300")),
    "a flag after single quotes": ("DK401", dotenv("SCHEDULE_DAEMON_ENABLED=«'$FLAG'»")),
    "a profile's own stage": (
        "DK414",
        {PATH: whole(WEB, DAEMON), "production/web-server.env": f"{FLAGS_WEB}JOB_WORKER_POLL_INTERVAL_MS=«10000»\n"},
    ),
    "Rails' jobs in the web service": ("DK601", started("«bin/jobs»")),
    "Sidekiq in the web service": ("DK601", started("«bundle exec sidekiq»")),
    "Laravel's scheduler in the web service": ("DK601", started("«php artisan schedule:work»")),
    "Celery's beat in the web service": ("DK601", started("«python -m celery -A app beat»")),
    "a web server in the worker": ("DK601", started(worker="«uv run uvicorn app.main:app»")),
    "a worker's folder in the web service": ("DK601", started("«node apps/worker/dist/main.js»")),
    "scripts by a pattern": (
        "DK112",
        started("«run-p start:*»", package='{"scripts": {"start:web": "node a.js", "start:scheduler": "node b.js"}}\n'),
    ),
    "a daemon in a subshell": ("DK112", started("«(node dist/scheduleDaemon.js &) && node dist/index.js»")),
    "Laravel's scheduler in the background": ("DK112", started("«php artisan schedule:work & php-fpm»")),
    "a variable in an image": ("DK603", from_image(started('«uvicorn app:app --port "${PORT:-8000}"»'))),
    "an assignment in an image": ("DK603", from_image(started("«NODE_ENV=production node index.js»"))),
    "the background in an image": ("DK603", from_image(started("«node a.js & node b.js»"))),
    "Rails migrating twice": (
        "DK609",
        started("bin/rails db:prepare && bin/rails server", worker="«bin/rails db:prepare && bin/jobs»"),
    ),
    "Laravel migrating twice": (
        "DK609",
        started(
            "php artisan migrate --force && php-fpm", worker="«php artisan migrate --force && php artisan horizon»"
        ),
    ),
    "Angular's development server": ("DK607", started("«ng serve --host 0.0.0.0»")),
    "Laravel's development server": ("DK607", started("«php artisan serve»")),
    "a worker that watches its files": ("DK607", started(worker="«watchmedo auto-restart -- celery -A app worker»")),
    "a shell form in the stage below": (
        "DK608",
        {"Dockerfile": "FROM node:22 AS base\nCMD «npm start»\n\nFROM base AS production\nCOPY . .\n"},
    ),
    "a Dockerfile with a name of its own": ("DK608", {"api.dockerfile": "FROM node:22\nCMD «npm start»\n"}),
    "jobs that are never restarted": (
        "DK306",
        {"railway.toml": '[deploy]\nstartCommand = "bin/jobs"\nrestartPolicyType = «"NEVER"»\n'},
    ),
    "a worker of a monorepo that sleeps": (
        "DK305",
        {"railway.toml": '[deploy]\nstartCommand = "node apps/worker/dist/main.js"\nsleepApplication = «true»\n'},
    ),
    "a database through its proxy": (
        "DK503",
        dotenv(
            "DATABASE_URL=mysql://root:${{MySQL.MYSQL_ROOT_PASSWORD}}@«${{MySQL.RAILWAY_TCP_PROXY_DOMAIN}}»:1234/app"
        ),
    ),
    "a worker on cron": (
        "DK301",
        {"railway.toml": '[deploy]\nstartCommand = "celery -A app worker"\ncronSchedule = «"0 * * * *"»\n'},
    ),
    "a validated variable without a default": (
        "DK404",
        {
            path: text.replace("    env:", "    «env»:", 1) if path == PATH else text
            for path, text in sourced(
                **{"schema.ts": "z.object({ LEVEL: z.enum(['a', 'b']), X: z.string().default('') });\nprocess.env;\n"}
            ).items()
        },
    ),
    "a loop that waits": (
        "DK611",
        sourced(**{"jobWorker.ts": "async function loop() { await processNextJob(); setTimeout(loop, «5000»); }\n"}),
    ),
    "a loop that sleeps": (
        "DK611",
        sourced(**{"jobWorker.ts": "while (running) { await processNextJob(); await sleep(«5_000»); }\n"}),
    ),
    "few restarts under a misspelt policy": (
        "DK307",
        {
            "railway.toml": '[deploy]\nstartCommand = "node scheduler.js"\nrestartPolicyType = "on-failure"\n'
            "restartPolicyMaxRetries = «3»\n"
        },
    ),
    "a heartbeat that follows the polling": (
        "DK114",
        {"worker.env": "SCHEDULE_DAEMON_ENABLED=false\nHEARTBEAT_INTERVAL_MS=«${JOB_WORKER_POLL_INTERVAL_MS}»\n"},
    ),
    "a worker in the daemon of a file without a name": (
        "DK106",
        {".env": "NODE_ENV=production\nSCHEDULE_DAEMON_ENABLED=true\nEMBEDDED_JOB_WORKER=«true»\n"},
    ),
    "a masked key": ("DK407", dotenv("OPENAI_API_KEY=«sk-your-openai-api-key-here»")),
}


@pytest.mark.parametrize("name", OFFENCES)
def test_an_offence_is_found_where_it_stands(name: str, tmp_path: Path) -> None:
    code, texts = OFFENCES[name]
    example = Example(tuple(texts.items()))
    found = [finding for finding in findings_in(tmp_path, example.texts()) if finding.code == code]
    assert sorted(finding.place for finding in found) == sorted(example.places())
