"""Configurations that look suspicious and are right. Each must stay without a finding."""

from __future__ import annotations

from collections.abc import Mapping

WEB = """\
  web-server:
    role: web
    source: {repo: acme/app, branch: main}
    start: node backend/dist/index.js
    healthcheck: /health
    draining_seconds: 30
    limits: {memory_mb: 1000, vcpu: 1}
    env:
      NODE_ENV: production
      DATABASE_URL: ${{MySQL.MYSQL_URL}}
      DATABASE_CONNECTION_LIMIT: 5
      EMBEDDED_JOB_WORKER: true
      JOB_WORKER_POLL_INTERVAL_MS: 30000
      SCHEDULE_DAEMON_ENABLED: false
"""
DAEMON = """\
  schedule-daemon:
    role: daemon
    guard: lease
    source: {repo: acme/app, branch: main}
    start: node backend/dist/scheduleDaemon.js
    restart: {policy: always}
    draining_seconds: 30
    limits: {memory_mb: 500, vcpu: 1}
    env:
      NODE_ENV: production
      DATABASE_URL: ${{MySQL.MYSQL_URL}}
      DATABASE_CONNECTION_LIMIT: 5
      SCHEDULE_DAEMON_ENABLED: true
      SCHEDULE_POLL_INTERVAL_MS: 3600000
      EMBEDDED_JOB_WORKER: false
"""
WORKER = """\
  job-worker:
    role: worker
    source: {repo: acme/app, branch: main}
    start: node backend/dist/jobWorker.js
    restart: {policy: always}
    draining_seconds: 30
    limits: {memory_mb: 500, vcpu: 1}
    env:
      NODE_ENV: production
      DATABASE_URL: ${{MySQL.MYSQL_URL}}
      DATABASE_CONNECTION_LIMIT: 5
      SCHEDULE_DAEMON_ENABLED: false
      EMBEDDED_JOB_WORKER: false
      JOB_WORKER_POLL_INTERVAL_MS: 5000
"""
NO_EMBEDDED = WEB.replace("EMBEDDED_JOB_WORKER: true", "EMBEDDED_JOB_WORKER: false").replace(
    "      JOB_WORKER_POLL_INTERVAL_MS: 30000\n", ""
)
PATH = "profiles/app.yaml"

TYPESCRIPT = """\
import { defineRailway, github, mysql, project, service } from "railway/iac";

export default defineRailway(() => {
  const db = mysql("MySQL");
  const common = { NODE_ENV: "production", DATABASE_URL: db.env.MYSQL_URL, DATABASE_CONNECTION_LIMIT: "5" };
  const web = service("web-server", {
    source: github("acme/app"),
    start: "node dist/index.js",
    healthcheck: "/health",
    deploy: { drainingSeconds: 30 },
    env: { ...common, EMBEDDED_JOB_WORKER: "true", SCHEDULE_DAEMON_ENABLED: "false" },
  });
  const daemon = service("schedule-daemon", {
    source: github("acme/app"),
    start: "node dist/scheduleDaemon.js",
    deploy: { restartPolicyType: "ALWAYS", drainingSeconds: 30 },
    env: {
      ...common, SCHEDULE_DAEMON_ENABLED: "true", SCHEDULE_POLL_INTERVAL_MS: "3600000", EMBEDDED_JOB_WORKER: "false",
    },
  });
  return project("acme", { resources: [db, web, daemon] });
});
"""
PYTHON = """\
from railway_sdk import define_railway, github, mysql, project, service

COMMON = {"NODE_ENV": "production", "DATABASE_CONNECTION_LIMIT": "5"}


@define_railway
def main():
    db = mysql("MySQL")
    web = service(
        "web-server",
        source=github("acme/app"),
        start="node dist/index.js",
        healthcheck="/health",
        deploy={"drainingSeconds": 30},
        env={
            **COMMON,
            "DATABASE_URL": db.env.MYSQL_URL,
            "EMBEDDED_JOB_WORKER": "true",
            "SCHEDULE_DAEMON_ENABLED": "false",
        },
    )
    daemon = service(
        "schedule-daemon",
        source=github("acme/app"),
        start="node dist/scheduleDaemon.js",
        deploy={"restartPolicyType": "ALWAYS", "drainingSeconds": 30},
        env={
            **COMMON,
            "DATABASE_URL": db.env.MYSQL_URL,
            "SCHEDULE_DAEMON_ENABLED": "true",
            "SCHEDULE_POLL_INTERVAL_MS": "3600000",
            "EMBEDDED_JOB_WORKER": "false",
        },
    )
    return project("acme", resources=[db, web, daemon])
"""


def typescript(*changes: tuple[str, str]) -> Mapping[str, str]:
    """The usual two services in TypeScript, with texts replaced."""
    return {".railway/railway.ts": _replaced(TYPESCRIPT, changes)}


def python(*changes: tuple[str, str]) -> Mapping[str, str]:
    """The usual two services in Python, with texts replaced."""
    return {".railway/railway.py": _replaced(PYTHON, changes)}


def _replaced(text: str, changes: tuple[tuple[str, str], ...]) -> str:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def started(web_: str = "", daemon: str = "", worker: str = "", **files: str) -> Mapping[str, str]:
    """Three services that start these commands, and other files beside the profile, named without their ending."""
    text = whole(NO_EMBEDDED, DAEMON, WORKER)
    for old, new in (("index", web_), ("scheduleDaemon", daemon), ("jobWorker", worker)):
        if new:
            quoted = new.replace("'", "''")
            marked = quoted[1:-1] if new[0] == "«" else quoted
            text = text.replace(f"node backend/dist/{old}.js", f"«'{marked}'»" if new[0] == "«" else f"'{quoted}'")
    names = {"package": "package.json", "ecosystem": "ecosystem.config.js", "dockerfile": "Dockerfile"}
    return {PATH: text, **{names[name]: content for name, content in files.items()}}


def from_image(texts: Mapping[str, str]) -> Mapping[str, str]:
    """The same with images in place of a repository: nothing runs in a shell."""
    return {**texts, PATH: texts[PATH].replace("{repo: acme/app, branch: main}", "{image: 'acme/app:1'}")}


def sourced(**files: str) -> Mapping[str, str]:
    """Three services with their source, which reads every variable; files by name, `_` for a folder."""
    text = whole(NO_EMBEDDED, DAEMON, WORKER).replace("acme/app, branch: main", "acme/app, root: backend")
    reader = "".join(
        f"read(process.env.{name});\n"
        for name in (
            "SCHEDULE_DAEMON_ENABLED",
            "EMBEDDED_JOB_WORKER",
            "SCHEDULE_POLL_INTERVAL_MS",
            "JOB_WORKER_POLL_INTERVAL_MS",
        )
    )
    return {PATH: text, "backend/src/env.ts": reader, **{f"backend/src/{name}": each for name, each in files.items()}}


def whole(*services: str, top: str = "", name: str = "app") -> str:
    """A profile of these services."""
    return f"version: 1\nname: {name}\ndatabase: {{service: MySQL}}\n{top}services:\n" + "".join(services)


def web(*lines: str) -> Mapping[str, str]:
    """The usual two services, with lines added to web's variables."""
    return {PATH: whole(WEB + "".join(f"      {line}\n" for line in lines), DAEMON)}


def settings(service: str, *lines: str) -> str:
    """A service with settings added."""
    return service.replace("    source:", "".join(f"    {line}\n" for line in lines) + "    source:", 1)


def env(text: str, path: str) -> Mapping[str, str]:
    """One .env file."""
    return {path: text}


FLAGS_WEB = "SCHEDULE_DAEMON_ENABLED=false\nEMBEDDED_JOB_WORKER=true\n"
FLAGS_DAEMON = "SCHEDULE_DAEMON_ENABLED=true\nEMBEDDED_JOB_WORKER=false\n"

CLEAN: dict[str, Mapping[str, str]] = {
    "names that end like secrets and are none": web(
        "JWT_SECRET_NAME: app-jwt", "TOKEN_TTL_SECONDS: 3600", "PASSWORD_MIN_LENGTH: 12", "PASSWORD_RESET_PATH: /reset"
    ),
    "a publishable key is public": web("STRIPE_PUBLISHABLE_KEY: pk_live_51H8aBcDeFgHiJkLmNoPqRsTuVwXyZ"),
    "a commit hash in quotes": web('GIT_COMMIT: "9fceb02d0ae598e95dc970b74767f19372d61af8"'),
    "a uuid is an address": web("TENANT_ID: 123e4567-e89b-12d3-a456-426614174000"),
    "words that YAML 1.1 would change": web("ANSWER: yes", "OPENING_TIME: 12:30:00", "MODE: on"),
    "quoted numbers": web('APP_VERSION: "1.10"', 'ZIP_CODE: "01069"'),
    "a variable near no known name": web("SCHEDULE_TIMEZONE: UTC", "DATABASE_NAME: app", "WORKER_NAME: one"),
    "a value with a hash sign in it": web('CHANNEL: "#general"'),
    "a value with equals signs": web('SEARCH_PATH: "a=b&c=d"'),
    "an empty variable on purpose": web('FEATURE_FLAGS: ""'),
    "a long cookie lifetime in milliseconds": web("SESSION_MAX_AGE_MS: 2592000000"),
    "a cache that may be off": web("CACHE_TTL_MS: 0"),
    "a timeout in seconds that says so": web("REQUEST_TIMEOUT_SECONDS: 30"),
    "a reference inside text": web("PUBLIC_URL: https://${{RAILWAY_PUBLIC_DOMAIN}}/app"),
    "a reference to another service's private name": web("DAEMON_HOST: ${{schedule-daemon.RAILWAY_PRIVATE_DOMAIN}}"),
    "a shared variable": web("LOG_LEVEL: ${{shared.LOG_LEVEL}}"),
    "blanks inside a reference": web("DAEMON_HOST: ${{ schedule-daemon.RAILWAY_PRIVATE_DOMAIN }}"),
    "quoted flags": {PATH: whole(WEB.replace("EMBEDDED_JOB_WORKER: true", 'EMBEDDED_JOB_WORKER: "true"'), DAEMON)},
    "secrets that live in Railway": web("JWT_SECRET: !secret", "SMTP_PASSWORD: !secret OPERATOR_SMTP_PASSWORD"),
    "a dedicated worker": {PATH: whole(NO_EMBEDDED, DAEMON, WORKER)},
    "two declared kinds of worker": {PATH: whole(WEB, DAEMON, WORKER, top="expect: {job_worker: 2}\n")},
    "replicated embedded workers that are declared": {
        PATH: whole(settings(WEB, "replicas: 3"), DAEMON, top="expect: {job_worker: 3}\n")
    },
    "many dedicated workers within the budget": {
        PATH: whole(NO_EMBEDDED, DAEMON, settings(WORKER, "replicas: 5"), top="expect: {job_worker: 5}\n")
    },
    "no schedules at all": {PATH: whole(WEB, top="expect: {schedule_daemon: 0}\n")},
    "a volume as the guard": {
        PATH: whole(WEB, DAEMON.replace("guard: lease", "guard: volume\n    volume: {mount: /guard}"))
    },
    "a daemon that stops first": {PATH: whole(WEB, DAEMON.replace("guard: lease", "guard: recreate"))},
    "fast polling in a profile of another name": {
        PATH: whole(WEB.replace("30000", "1000"), DAEMON.replace("3600000", "60000"))
    },
    "web in two regions": {
        PATH: whole(settings(NO_EMBEDDED, "replicas: {us-west2: 1, europe-west4-drams3a: 1}"), DAEMON, WORKER)
    },
    "overlap on web": {PATH: whole(settings(WEB, "overlap_seconds: 20"), DAEMON)},
    "a nightly job that exits, on cron": {
        PATH: whole(
            WEB,
            DAEMON,
            "  nightly-report:\n    role: other\n    source: {repo: acme/app}\n"
            "    start: node backend/dist/report.js\n    cron: 0 3 * * *\n    restart: {policy: never}\n",
        )
    },
    "a mailer that has nothing to do with jobs": {
        PATH: whole(
            WEB,
            DAEMON,
            "  mailer:\n    role: other\n    source: {image: acme/mailer}\n    env: {SMTP_HOST: mail.acme.dev}\n",
        )
    },
    "a database of its own": {
        PATH: whole(
            WEB.replace("${{MySQL.MYSQL_URL}}", "${{db.MYSQL_URL}}"),
            DAEMON.replace("${{MySQL.MYSQL_URL}}", "${{db.MYSQL_URL}}"),
            "  db:\n    role: database\n    source: {image: mysql:9}\n    volume: {mount: /var/lib/mysql}\n",
        ).replace("database: {service: MySQL}", "database: {service: db}")
    },
    "anchors and merge keys": {
        PATH: "version: 1\nname: app\ndatabase: {service: MySQL}\nx-common: &common\n  NODE_ENV: production\n"
        "  DATABASE_URL: ${{MySQL.MYSQL_URL}}\n  DATABASE_CONNECTION_LIMIT: 5\nservices:\n"
        + (WEB + DAEMON).replace(
            "      NODE_ENV: production\n      DATABASE_URL: ${{MySQL.MYSQL_URL}}\n"
            "      DATABASE_CONNECTION_LIMIT: 5\n",
            "      <<: *common\n",
        )
    },
    "a stage that only changes its intervals": {
        "profiles/base.yaml": whole(WEB, DAEMON, name="base"),
        "profiles/more.yaml": "version: 1\nname: more\nextends: base\nservices:\n  web-server:\n    env:\n"
        "      JOB_WORKER_POLL_INTERVAL_MS: 10000\n",
    },
    "a base whose worker moves to a service of its own": {
        "profiles/base.yaml": whole(WEB, DAEMON, name="base"),
        "profiles/more.yaml": "version: 1\nname: more\nextends: base\nservices:\n  web-server:\n    env:\n"
        "      EMBEDDED_JOB_WORKER: false\n      JOB_WORKER_POLL_INTERVAL_MS: null\n" + WORKER,
    },
    "a flow-style profile": {
        PATH: "version: 1\nname: app\ndatabase: {service: MySQL}\nexpect: {schedule_daemon: 0}\nservices:\n"
        "  web: {role: web, source: {image: 'acme/app:1'}, healthcheck: /health, draining_seconds: 30, env: {"
        'NODE_ENV: production, DATABASE_URL: "${{MySQL.MYSQL_URL}}", DATABASE_CONNECTION_LIMIT: 5, '
        "EMBEDDED_JOB_WORKER: true, SCHEDULE_DAEMON_ENABLED: false}}\n"
    },
    "windows line ends in a profile": {PATH: whole(WEB, DAEMON).replace("\n", "\r\n")},
    "a byte order mark in a profile": {PATH: "\ufeff" + whole(WEB, DAEMON)},
    "comments that speak of daemons": {
        PATH: whole(WEB, DAEMON).replace(
            "services:", "# daemon: SCHEDULE_DAEMON_ENABLED=true runs in one place\nservices:"
        )
    },
    "a laptop's .env": env(
        "NODE_ENV=development\nDATABASE_URL=mysql://root:root@localhost:3306/app\n", ".env.development"
    ),
    "a test's .env": env("NODE_ENV=test\nDATABASE_URL=sqlite:///tmp/test.db\n", ".env.test"),
    "an example with placeholders": env(
        "NODE_ENV=production\nDATABASE_URL=<from-railway-mysql>\nJWT_SECRET=<your-secret>\n", ".env.example"
    ),
    "an ignored .env with secrets": {
        ".gitignore": ".env\n",
        ".env": "NODE_ENV=development\nJWT_SECRET=9f2c8a41d7e64b0fa1\nSCHEDULE_DAEMON_ENABLED=true\n",
    },
    "quotes in .env files are normal": env(f'{FLAGS_WEB}NODE_ENV="production"\nAPP_NAME="My app"\n', "web-server.env"),
    ".env files of both services": {
        ".env.web-server": f"{FLAGS_WEB}NODE_ENV=production\nJOB_WORKER_POLL_INTERVAL_MS=30000\n",
        ".env.schedule-daemon": f"{FLAGS_DAEMON}NODE_ENV=production\nSCHEDULE_POLL_INTERVAL_MS=3600000\n",
    },
    "a .env file that agrees with the profile": {
        PATH: whole(WEB, DAEMON),
        ".env.web-server": f"{FLAGS_WEB}NODE_ENV=production\nJOB_WORKER_POLL_INTERVAL_MS=30000\n",
    },
    "compose files are not read": {
        "docker-compose.yaml": "services:\n  web:\n    environment: {JWT_SECRET: abcdefghi, PORT: 30ms}\n"
    },
    "workflows are not read": {
        ".github/workflows/ci.yaml": "name: ci\non: push\nenv: {SCHEDULE_POLL_INTERVAL_MS: 10}\njobs: {}\n"
    },
    "other people's YAML is not read": {
        "mkdocs.yaml": "site_name: x\nname: y\nversion: 3\n",
        "k8s/app.yaml": "apiVersion: v1\nkind: Service\nspec: {}\n",
    },
    "a package.json whose scripts are found": {
        PATH: whole(WEB.replace("node backend/dist/index.js", "cd backend && exec node dist/index.js"), DAEMON),
        "package.json": '{"name": "app", "scripts": {"start": "node backend/dist/index.js", "build": "tsc"}}\n',
    },
    "a Dockerfile in exec form": {
        "Dockerfile": 'FROM node:22-slim\nWORKDIR /app\nCOPY . .\nUSER node\nENTRYPOINT ["tini", "--"]\n'
        'CMD ["node", "dist/index.js"]\n'
    },
    "a Procfile that is served": {
        PATH: whole(WEB, DAEMON),
        "Procfile": "web: node backend/dist/index.js\nscheduler: node backend/dist/scheduleDaemon.js\n",
    },
    "a suppression with a reason": web("LOG_LEVEL: info # a comment", "EXPORT_FORMAT: csv"),
    "secrets that are kept elsewhere": env(
        "JWT_SECRET=op://prod/app/jwt\nDB_SECRET=arn:aws:secretsmanager:eu-west-1:1:secret:x\n"
        "GOOGLE_APPLICATION_CREDENTIALS=google-credentials.json\nJWT_PRIVATE_KEY=keys/jwt.pem\n",
        "web.env",
    ),
    "secrets that only their key opens": env(
        'JWT_SECRET="encrypted:BE9Y7LKANx77X1pv1HnEoil93fPa5c9rpL"\n'
        "REDIS_PASSWORD=ENC[AES256_GCM,data:abc,iv:def,tag:x,type:str]\n",
        "web.env",
    ),
    "a vault that is meant to be committed": env(
        'DOTENV_VAULT_PRODUCTION="Hm5DzBrdHvr4u1OoVFkB0aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789+/AbCdEf=="\n', ".env.vault"
    ),
    "keys that a bundler puts into the page": env(
        "NEXT_PUBLIC_SUPABASE_ANON_KEY=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJzdXBhYmFzZSJ9.c2lnbmF0dXJlMTIz\n"
        "VITE_FIREBASE_API_KEY=AIzaSyD-1234567890abcdefghijklmnopqrstu\n",
        "web.env",
    ),
    "a switch that speaks of passwords": env("MYSQL_ALLOW_EMPTY_PASSWORD=yes\n", "web.env"),
    "a checksum of a script": env(
        "SCRIPT_SRI=sha384-oqVuAfXRKap7fdgcCY5uykM6+R9GqQ8K/uxy9rx7HNQlGYl1kPzQho1wx4JwY8wC\n", "web.env"
    ),
    "lists, maps and names are no placeholders": env(
        'ALLOWED_HOSTS=["a.dev","b.dev"]\nFEATURES={"a":1}\nTAGS=[]\nAPP_NAME=todo\nTITLE="Todo App"\n'
        'MAIL_FROM="<noreply@acme.dev>"\nWRITE_MODE=insert-only\n',
        "web.env",
    ),
    "secrets for show in an example": env(
        "JWT_SECRET=super-secret-key-change-in-production\nNEXTAUTH_SECRET=generate-with-openssl-rand-base64-32\n"
        "API_KEY=abc123\nOPENAI_API_KEY=sk-your-openai-api-key\nSTRIPE_SECRET_KEY=sk_test_xxxxxxxxxxxxxxxxxxxx\n"
        "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\nREDIS_PASSWORD=null\nREDIS_URL=redis://:redispass@localhost:6379\n"
        "DATABASE_URL=postgresql://johndoe:randompassword@localhost:5432/mydb?schema=public\n",
        ".env.example",
    ),
    "TypeScript": typescript(),
    "TypeScript with regular expressions": typescript(
        (
            "  const db",
            "  const slug = (s: string) => s.replace(/\\)$/, '').replace(/[`'\"]/g, '') && /^\\(/.test(s);\n  const db",
        ),
    ),
    "TypeScript that divides": typescript(
        ("  const db", "  const half = (10 / 2) / 1;\n  const third = half / 3;\n  const db")
    ),
    "TypeScript without semicolons": {".railway/railway.ts": TYPESCRIPT.replace(";", "")},
    "TypeScript through a name space": typescript(
        ("{ defineRailway, github, mysql, project, service }", "* as railway"),
        ("defineRailway(", "railway.defineRailway("),
        ("mysql(", "railway.mysql("),
        ('= service("web', '= railway.service("web'),
        ("project(", "railway.project("),
        ('= service("sch', '= railway.service("sch'),
        ("source: github", "source: railway.github"),
    ),
    "TypeScript with types": typescript(
        ('service("web', 'service<"web">("web'),
        ("  const db", "  class Named { service(name: string) { return name; } }\n  const db"),
    ),
    "a spread whose value is replaced": typescript(
        ("{ ...common, EMB", '{ ...common, DATABASE_CONNECTION_LIMIT: "8", EMB')
    ),
    "numbers that are computed": typescript(('"3600000"', "String(60 * 60 * 1000)"), ('"5"', "(5).toString()")),
    "Python": python(),
    "Python with maps that are joined": python(("env={\n            **COMMON,", "env=COMMON | {")),
    "Python that replaces a shared value": python(
        ("**COMMON,", '**COMMON,\n            "DATABASE_CONNECTION_LIMIT": "8",')
    ),
    "Python with computed numbers": python(('"3600000"', "str(60 * 60 * 1000)"), ('"5"', 'f"{5}"')),
    "a stage that a folder names": {
        "envs/staging/web.env": f"{FLAGS_WEB}NODE_ENV=staging\n",
        "deploy/staging/.env": f"{FLAGS_WEB}NODE_ENV=staging\n",
        "environments/dev/.env": "NODE_ENV=development\nJWT_SECRET=9f2c8a41d7e64b0c\n",
    },
    "a stage beside the service's name": {
        "web-staging.env": f"{FLAGS_WEB}NODE_ENV=staging\n",
        "staging-api.env": f"{FLAGS_WEB}NODE_ENV=staging\n",
        "worker_dev.env": "NODE_ENV=development\nJWT_SECRET=9f2c8a41d7e64b0c\n",
        ".env.e2e": "NODE_ENV=test\nJWT_SECRET=9f2c8a41d7e64b0c\n",
    },
    "a .env file of another stage than the profile": {
        PATH: whole(WEB, DAEMON),
        ".env.web-server.staging": f"{FLAGS_WEB}NODE_ENV=staging\nJOB_WORKER_POLL_INTERVAL_MS=10000\n",
    },
    "two .env files of one daemon": {
        "schedule-daemon/.env": "SCHEDULE_DAEMON_ENABLED=true\n",
        "schedule-daemon/config.env": "SCHEDULE_DAEMON_ENABLED=true\nSCHEDULE_POLL_INTERVAL_MS=3600000\n",
    },
    "an example that names a variable in a comment": {
        ".gitignore": ".env\n",
        ".env": "LOG_FORMAT=json\nSENTRY_ENVIRONMENT=x\n",
        ".env.example": "LOG_FORMAT=json\n# SENTRY_ENVIRONMENT=\n",
    },
    "an escaped quote in a .env file": env("GREETING='it\\'s fine'\nFOLDER='C:\\app\\'\n", "web.env"),
    "a separator that ends with a blank": env('CSV_SEPARATOR=", "\nSHELL_PROMPT="> "\n', "web.env"),
    "a security policy with its quotes": env("CSP_DEFAULT_SRC=\"'self'\"\n", "web.env"),
    "names in small letters": env(
        "no_proxy=localhost\nnpm_config_registry=https://r.acme.dev\nLogging__LogLevel__Default=Warning\n", "web.env"
    ),
    "names of other programs": env("LOGLEVEL=info\nDATABASE_URI=sqlite:///x.db\n", "web.env"),
    "a flag that another variable holds": env("SCHEDULE_DAEMON_ENABLED=${DAEMON:-false}\n", "web.env"),
    "build arguments in a Dockerfile": {
        "Dockerfile": "FROM node:22-slim\nARG POLL=3600000\nARG FLAG=false\n"
        "ENV SCHEDULE_POLL_INTERVAL_MS=${POLL} SCHEDULE_DAEMON_ENABLED=$FLAG\n"
        'CMD ["node", "dist/index.js"]\n'
    },
    "a whole file suppressed at its top": {
        "railway.toml": '# deploykit: ignore[DK701] moves next week\n[deploy]\nstartCommand = "node index.js"\n',
        "web.env": "# deploykit: ignore[DK103] the flag is set in Railway\nEMBEDDED_JOB_WORKER=true\n",
    },
    "Rails": started("bin/rails server -b 0.0.0.0", "bundle exec clockwork clock.rb", "bin/rails solid_queue:start"),
    "Rails with bin/jobs": started("bundle exec puma -C config/puma.rb", worker="bin/jobs start"),
    "Rails with delayed jobs": started("bin/rails db:prepare && bin/rails server", worker="bin/rails jobs:work"),
    "Laravel": started("php artisan octane:start", "php artisan schedule:work", "php artisan queue:work --tries=3"),
    "Django and Celery": started(
        "poetry run gunicorn config.wsgi", "python -m celery -A config beat", "uv run celery -A config worker"
    ),
    "a queue's dashboard is a web server": started("node dist/queue-dashboard.js"),
    "an API of appointments is a web server": started("node dist/schedule-api.js"),
    "bun runs files": started("bun run src/index.ts", package='{"scripts": {"start": "x"}}\n'),
    "scripts of another package": {
        **started("npm run start --workspace=api", package='{"scripts": {"build": "tsc"}}\n'),
        "apps/api/package.json": '{"scripts": {"start": "node dist/index.js"}}\n',
    },
    "scripts of a filtered package": started("pnpm --filter=api start", package='{"scripts": {"build": "tsc"}}\n'),
    "scripts of a folder": {
        **started("npm --prefix=backend run start", package='{"scripts": {"build": "tsc"}}\n'),
        "backend/package.json": '{"scripts": {"start": "node dist/index.js"}}\n',
    },
    "a script that may be missing": started(
        "npm run migrate --if-present && node dist/index.js", package='{"scripts": {"build": "tsc"}}\n'
    ),
    "a supervisor's folder": started("supervisord -c /etc/supervisor/conf.d/web.conf"),
    "an option of the program": started("node dist/index.js --watch ./inbox"),
    "a process manager that starts the web server alone": started(
        "pm2-runtime start ecosystem.config.js",
        ecosystem="// no scheduler here\nmodule.exports = {apps: [{name: 'web', script: 'dist/index.js', "
        "cron_restart: '0 3 * * *', env: {SCHEDULE_DAEMON_ENABLED: 'false'}, heartbeat: true}]}\n",
    ),
    "a process manager that is told what to start": started(
        "pm2-runtime start ecosystem.config.js --only web",
        ecosystem="module.exports = {apps: [{name: 'web', script: 'a.js'}, {name: 'scheduler', script: 'b.js'}]}\n",
    ),
    "shells in an image": from_image(
        started(
            "bash -euo pipefail -c 'cd app && exec node index.js'", worker='tini -- sh -c "cd app && exec node w.js"'
        )
    ),
    "quotes in an image": from_image(
        started('node -e "require(1) && start()"', worker="celery -A app worker --pattern 'a|b'")
    ),
    "a Dockerfile whose shell makes way": {
        "Dockerfile": "FROM node:22\nCMD npx prisma migrate deploy && exec node dist/index.js\n"
    },
    "a Procfile for a laptop": {"Procfile.dev": "web: next dev\napi: nodemon src/index.ts\n"},
    "a single-page application in a monorepo": {
        "apps/site/package.json": '{"scripts": {"start": "react-scripts start", "build": "react-scripts build"}}\n'
    },
    "PostgreSQL": {
        PATH: whole(WEB, DAEMON)
        .replace("MySQL.MYSQL_URL", "Postgres.DATABASE_URL")
        .replace("service: MySQL", "service: Postgres")
    },
    "a public address for players": {
        PATH: whole(
            WEB + "      GAME_HOST: ${{game.RAILWAY_TCP_PROXY_DOMAIN}}\n",
            DAEMON,
            "  game:\n    role: other\n    source: {image: 'acme/game:1'}\n",
        )
    },
    "a cron job that is called cron": {
        PATH: whole(
            WEB,
            DAEMON,
            *(
                f"  {name}:\n    role: other\n    source: {{repo: acme/app}}\n    start: {start}\n"
                "    cron: 0 3 * * *\n    restart: {policy: never}\n"
                for name, start in (
                    ("nightly", "npm run cron:daily"),
                    ("tasks", "node scripts/run-schedule.js"),
                    ("queue", "php artisan queue:work --stop-when-empty"),
                )
            ),
        )
    },
    "a cron job called cron in infrastructure as code": typescript(
        (
            "  return project",
            '  service("cleanup-cron", { source: github("acme/app"), start: "node dist/cron.js", '
            'deploy: { cronSchedule: "0 3 * * *", restartPolicyType: "NEVER" } });\n  return project',
        ),
    ),
    "a validated variable with a default": sourced(
        **{
            "schema.ts": "z.object({ LEVEL: z.enum(['a', 'b']).default('a'), LIST_X: z.string()\n"
            "  .transform((v) => v.split(',').map((w) => w.trim())).optional() }).parse(process.env);\n"
        }
    ),
    "a settings class with a default": sourced(
        **{"settings.py": "class Settings(BaseSettings):\n    job_worker_poll_interval_ms: int = 5000\n"}
    ),
    "a page that asks again": sourced(
        **{
            "components/Status.tsx": "const POLL_INTERVAL = 3000;\nsetInterval(fetchStatus, POLL_INTERVAL);\n",
            "hooks/useJobs.ts": "const pollInterval = 2000;\nuseQuery({ refetchInterval: pollInterval });\n",
        }
    ),
    "a job that takes its time": sourced(
        **{"worker.ts": "export async function job() { await new Promise((r) => setTimeout(r, 5000)); }\n"}
    ),
    "a worker that waits before it tries again": sourced(
        **{"worker.ts": "for (let retry = 0; retry < 3; retry++) { await sleep(5000); }\n"}
    ),
    "keys that their makers give out": env(
        "MAPBOX_TOKEN=pk.eyJ1IjoiYWNtZSIsImEiOiJja2x.abc\nRECAPTCHA_SITE_KEY=6LeIxAcTAAAAAJcZVRqyHh71UMIEGNQ_MXjiZKhI\n",
        "web.env",
    ),
    "nested settings": env("JWT__SECRET=<your-secret>\nWALLET_PRIVATE_KEY=0x...\n", ".env.example"),
    "Ruby from a Dockerfile": {
        **started("bundle exec puma -C config/puma.rb", "bundle exec clockwork clock.rb", "bundle exec sidekiq"),
        "Dockerfile": 'FROM ruby:3.3\nCMD ["bundle", "exec", "puma"]\n',
    },
    "somebody else's image in infrastructure as code": typescript(
        ("{ defineRailway,", "{ defineRailway, image, preserve,"),
        (
            "  return project",
            '  const search = service("search-engine", { source: image("getmeili/meilisearch:v1"), '
            'healthcheck: "/health", env: { MEILI_MASTER_KEY: preserve() } });\n  return project',
        ),
    ),
    "a map that TypeScript fills later": typescript(
        ('{ NODE_ENV: "production", DATABASE_URL', "{ DATABASE_URL"),
        ("  const web", '  common.NODE_ENV = "production";\n  const web'),
    ),
    "a map that Python fills later": python(
        ('{"NODE_ENV": "production", ', "{"), ("\n\n@define", '\nCOMMON.update({"NODE_ENV": "production"})\n\n@define')
    ),
    "everything in one process on a desk": env(
        "NODE_ENV=development\nDATABASE_URL=mysql://root:root@127.0.0.1:3306/app\nSCHEDULE_DAEMON_ENABLED=true\n"
        "EMBEDDED_JOB_WORKER=true\nSCHEDULE_POLL_INTERVAL_MS=60000\n",
        ".env",
    ),
    "what tests are given": env("NODE_ENV=test\nJWT_SECRET=9f2c8a41d7e64b0c\n", "src/__tests__/.env"),
    "an application about schedules": started("node apps/schedule/dist/server.js"),
    "an application about clocks": started("node apps/clock-in/dist/main.js"),
}
