# rendered by deploykit from profiles/pre-launch.yaml (profile 2e8a9dfccc1c7f91, text f5eaae5a3e40e126); change the profile, not this file
#
# Railway's infrastructure as code, read by `railway config plan` and `railway config apply` (pip install railway-sdk).
# Keep one of railway.py and railway.ts beside each other: newer versions of Railway's command refuse two.
# preserve() keeps a secret that is already in Railway; set it there before the first apply.
from railway_sdk import define_railway, github, mysql, project, ref, service


@define_railway
def main():
    my_sql = mysql("MySQL")
    web_server = service(
        "web-server",
        source=github("acme/deploykit-demo", branch="main"),
        start="exec python -m runtime web",
        healthcheck="/health",
        deploy={
            "drainingSeconds": 30,
            "limitOverride": {"containers": {"cpu": 1.0, "memoryBytes": 512000000}},
        },
        env={
            "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "30",
            "NODE_ENV": "production",
            "DATABASE_URL": ref(my_sql, "MYSQL_URL"),
            "DATABASE_CONNECTION_LIMIT": "5",
            "JOBS_MODULE": "runtime.demo",
            "DEPLOYKIT_PROFILE": "pre-launch",
            "EMBEDDED_JOB_WORKER": "true",
            "JOB_WORKER_POLL_INTERVAL_MS": "30000",
            "SCHEDULE_DAEMON_ENABLED": "false",
        },
    )
    schedule_daemon = service(
        "schedule-daemon",
        source=github("acme/deploykit-demo", branch="main", checkSuites=True),
        start="exec python -m runtime daemon",
        deploy={
            "restartPolicyType": "ALWAYS",
            "drainingSeconds": 30,
            "limitOverride": {"containers": {"cpu": 1.0, "memoryBytes": 256000000}},
        },
        env={
            "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "30",
            "NODE_ENV": "production",
            "DATABASE_URL": ref(my_sql, "MYSQL_URL"),
            "DATABASE_CONNECTION_LIMIT": "5",
            "JOBS_MODULE": "runtime.demo",
            "DEPLOYKIT_PROFILE": "pre-launch",
            "SCHEDULE_DAEMON_ENABLED": "true",
            "SCHEDULE_POLL_INTERVAL_MS": "3600000",
            "EMBEDDED_JOB_WORKER": "false",
        },
    )
    return project("app", resources=[my_sql, web_server, schedule_daemon])
