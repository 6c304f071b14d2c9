"""The rules of Railway's ``EnvironmentConfig``: merging, defaults, masking, validation. Values in, values out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

Config = dict[str, Any]

PREFERRED_REGION = "us-west2"
REGIONS = {
    "us-west2": ("US West (California, USA)", "US"),
    "us-east4-eqdc4a": ("US East (Virginia, USA)", "US"),
    "europe-west4-drams3a": ("EU West (Amsterdam, Netherlands)", "NL"),
    "asia-southeast1-eqsg3a": ("Southeast Asia (Singapore)", "SG"),
}
MASKED = "*****"

# Values that a read leaves out because they equal the default.
DEFAULTS: dict[str, dict[str, Any]] = {
    "source": {"rootDirectory": "", "checkSuites": False},
    "build": {"builder": "RAILPACK", "buildCommand": "", "buildEnvironment": "V3", "dockerfilePath": "Dockerfile"},
    "deploy": {
        "healthcheckTimeout": 300,
        "restartPolicyType": "ON_FAILURE",
        "restartPolicyMaxRetries": 10,
        "sleepApplication": False,
        "overlapSeconds": 0,
        "drainingSeconds": 0,
        "ipv6EgressEnabled": False,
        "runtime": "V2",
        "useLegacyStacker": False,
    },
}

_SERVICE_KEYS: dict[str, frozenset[str] | None] = {
    "source": frozenset(
        ["repo", "image", "branch", "commitSha", "upstreamUrl", "rootDirectory", "checkSuites", "autoUpdates"]
    ),
    "build": frozenset(
        {"builder", "buildCommand", "buildEnvironment", "dockerfilePath", "watchPatterns", "nixpacksConfigPath"}
        | {"nixpacksPlan", "nixpacksVersion", "railpackVersion"}
    ),
    "deploy": frozenset(
        {"startCommand", "preDeployCommand", "healthcheckPath", "healthcheckTimeout", "numReplicas", "region"}
        | {"multiRegionConfig", "cronSchedule", "restartPolicyType", "restartPolicyMaxRetries", "sleepApplication"}
        | {"overlapSeconds", "drainingSeconds", "limitOverride", "requiredMountPath", "registryCredentials"}
        | {"ipv6EgressEnabled", "runtime", "useLegacyStacker"}
    ),
    "networking": frozenset({"serviceDomains", "customDomains", "tcpProxies", "privateNetworkEndpoint"}),
    "tracing": frozenset({"enabled", "autoInstrumentation"}),
    "cdn": frozenset({"enabled", "defaultTtlSeconds", "htmlCaching", "staleWhileRevalidate", "purgeOnDeploy"}),
    "variables": None,
    "volumeMounts": None,
    "replicaConfig": None,
    "clusterDisplay": None,
    "clusterWiring": None,
    "configFile": None,
    "isCreated": None,
    "isDeleted": None,
    "parentServiceId": None,
    "clusterRole": None,
    "groupId": None,
}  # fmt: skip
_VARIABLE_KEYS = frozenset(
    {
        "value",
        "defaultValue",
        "description",
        "isOptional",
        "isSealed",
        "generator",
        "encryptedValue",
        "preserveExisting",
    }
)
_TYPES: dict[str, type | tuple[type, ...]] = {
    "numReplicas": int, "healthcheckTimeout": int, "restartPolicyMaxRetries": int, "overlapSeconds": int,
    "drainingSeconds": int, "sleepApplication": bool, "checkSuites": bool, "startCommand": str, "healthcheckPath": str,
    "cronSchedule": str, "buildCommand": str, "dockerfilePath": str, "repo": str, "image": str, "branch": str,
    "multiRegionConfig": dict, "preDeployCommand": (list, str),
}  # fmt: skip
_ENUMS = {
    "restartPolicyType": {"ON_FAILURE", "ALWAYS", "NEVER"},
    "builder": {"RAILPACK", "DOCKERFILE", "NIXPACKS", "HEROKU", "PAKETO"},
}


def merge(base: Any, patch: Any) -> Any:
    """``patch`` laid over ``base``: maps merge deeply, null deletes, everything else (lists too) replaces."""
    if not isinstance(patch, dict):
        return deepcopy(patch)
    merged = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def apply_patch(config: Config, patch: Config) -> Config:
    """The stored config after a patch: merged, markers carried out, defaults left out.

    Nulls sent together with ``isCreated`` are ignored, as the live service does.
    """
    created = {
        service: _without_nulls(value) if isinstance(value, dict) and value.get("isCreated") else value
        for service, value in (patch.get("services") or {}).items()
    }
    merged = merge(config, {**patch, **({"services": created} if created else {})})
    for section in ("services", "volumes", "buckets", "groups"):
        kept = {key: value for key, value in (merged.get(section) or {}).items() if not value.get("isDeleted")}
        merged[section] = {key: {k: v for k, v in value.items() if k != "isCreated"} for key, value in kept.items()}
        if not merged[section]:
            del merged[section]
    if "services" in merged:
        merged["services"] = {key: sparse(value) for key, value in merged["services"].items()}
    return dict(merged)


def sparse(service: Config) -> Config:
    """A service as it is stored and read: no defaults, no empty maps, replica counts under their regions."""
    kept = deepcopy(service)
    deploy = kept.get("deploy") or {}
    if isinstance(deploy.get("preDeployCommand"), str):
        deploy["preDeployCommand"] = [deploy["preDeployCommand"]]
    if "numReplicas" in deploy:
        count = deploy.pop("numReplicas")
        regions = deploy.get("multiRegionConfig") or {}
        if len(regions) <= 1:
            region = next(iter(regions), PREFERRED_REGION)
            deploy["multiRegionConfig"] = {region: {**regions.get(region, {}), "numReplicas": count}}
    for section, defaults in DEFAULTS.items():
        values = {
            key: value
            for key, value in (kept.get(section) or {}).items()
            if key not in defaults or value != defaults[key]
        }
        kept[section] = values
    for section in ("source", "build", "deploy", "networking", "variables", "volumeMounts"):
        if not kept.get(section):
            kept.pop(section, None)
    return kept


def masked(config: Config, *, decrypt: bool) -> Config:
    """The config as a read answers it: every value null unless decrypted, sealed values and credentials never."""
    shown = deepcopy(config)
    for service in (shown.get("services") or {}).values():
        _mask_variables(service.get("variables") or {}, decrypt=decrypt)
        deploy = service.get("deploy") or {}
        if deploy.get("registryCredentials"):
            deploy["registryCredentials"] = {"username": MASKED, "password": MASKED}
    _mask_variables(shown.get("sharedVariables") or {}, decrypt=decrypt)
    return shown


def etag(config: Config) -> str:
    """An opaque token of the whole config, values included."""
    canonical = json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def problems(patch: Config) -> list[dict[str, Any]]:
    """What the strict validator of the change-set path refuses; empty when the patch is fine."""
    return [issue for key, service in (patch.get("services") or {}).items() for issue in _service_issues(key, service)]


def _service_issues(key: str, service: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(service, dict):
        return
    path = ["services", key]
    if unknown := [name for name in service if name not in _SERVICE_KEYS]:
        yield _unrecognized(path, unknown)
    for section, allowed in _SERVICE_KEYS.items():
        values = service.get(section)
        if allowed is None or values is None:
            continue
        if not isinstance(values, dict):
            yield _invalid([*path, section], "object", values)
            continue
        if unknown := [name for name in values if name not in allowed]:
            yield _unrecognized([*path, section], unknown)
        for name, value in values.items():
            yield from _value_issues([*path, section, name], name, value)
    for name, variable in (service.get("variables") or {}).items():
        if variable is None:
            continue
        if not isinstance(variable, dict):
            yield _invalid([*path, "variables", name], "object", variable)
        elif unknown := [field for field in variable if field not in _VARIABLE_KEYS]:
            yield _unrecognized([*path, "variables", name], unknown)
        elif not isinstance(variable.get("value", ""), str):
            yield _invalid([*path, "variables", name, "value"], "string", variable["value"])


def _value_issues(path: list[str], name: str, value: Any) -> Iterator[dict[str, Any]]:
    expected = _TYPES.get(name)
    if value is None:
        return
    if expected and (not isinstance(value, expected) or (expected is int and isinstance(value, bool))):
        names = expected if isinstance(expected, tuple) else (expected,)
        yield _invalid(path, " or ".join(kind.__name__ for kind in names), value)
    elif name in _ENUMS and value not in _ENUMS[name]:
        yield {"code": "invalid_value", "values": sorted(_ENUMS[name]), "path": path, "message": "Invalid option"}
    elif name == "preDeployCommand" and isinstance(value, list) and len(value) > 1:
        yield {"code": "too_big", "maximum": 1, "path": path, "message": "Error in preDeployCommand - Invalid input"}
    elif name == "multiRegionConfig":
        for region, settings in value.items():
            if settings is not None and settings.get("numReplicas", 1) < 1:
                yield {
                    "code": "too_small",
                    "minimum": 1,
                    "path": [*path, region, "numReplicas"],
                    "message": "Too small",
                }


def _unrecognized(path: list[str], keys: list[str]) -> dict[str, Any]:
    names = ", ".join(f'"{key}"' for key in keys)
    return {"code": "unrecognized_keys", "keys": keys, "path": path, "message": f"Unrecognized key: {names}"}


def _invalid(path: list[str], expected: str, value: Any) -> dict[str, Any]:
    kind = type(value).__name__
    return {
        "code": "invalid_type",
        "expected": expected,
        "path": path,
        "message": f"expected {expected}, received {kind}",
    }


def _mask_variables(variables: Config, *, decrypt: bool) -> None:
    for variable in variables.values():
        if not decrypt or variable.get("isSealed"):
            variable["value"] = None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    return value


@dataclass(frozen=True, slots=True)
class Settings:
    """What a deployment goes by: a service's config with every default in its place. Durations in seconds."""

    start_command: str | None
    pre_deploy_command: str | None
    healthcheck_path: str | None
    healthcheck_timeout_seconds: float
    overlap_seconds: float
    draining_seconds: float
    restart_policy: str
    restart_limit: int
    cron: str | None
    replicas: tuple[str, ...]
    image: str | None
    volume: tuple[str, str] | None

    @property
    def exclusive(self) -> bool:
        """A volume admits one active deployment: the old one stops before the new one starts."""
        return self.volume is not None


def settings(service: Config, variables: Mapping[str, str]) -> Settings:
    """The effective settings; a setting wins over the ``RAILWAY_…_SECONDS`` variable of the same meaning."""
    deploy = service.get("deploy") or {}
    pre_deploy = deploy.get("preDeployCommand") or []
    mounts = [(key, mount["mountPath"]) for key, mount in (service.get("volumeMounts") or {}).items() if mount]
    return Settings(
        start_command=deploy.get("startCommand") or None,
        pre_deploy_command=(pre_deploy if isinstance(pre_deploy, str) else next(iter(pre_deploy), None)) or None,
        healthcheck_path=deploy.get("healthcheckPath") or None,
        healthcheck_timeout_seconds=_seconds(
            deploy, "healthcheckTimeout", variables, "RAILWAY_HEALTHCHECK_TIMEOUT_SEC", 300
        ),
        overlap_seconds=_seconds(deploy, "overlapSeconds", variables, "RAILWAY_DEPLOYMENT_OVERLAP_SECONDS", 0),
        draining_seconds=_seconds(deploy, "drainingSeconds", variables, "RAILWAY_DEPLOYMENT_DRAINING_SECONDS", 0),
        restart_policy=deploy.get("restartPolicyType") or "ON_FAILURE",
        restart_limit=int(deploy.get("restartPolicyMaxRetries", 10)),
        cron=deploy.get("cronSchedule") or None,
        replicas=replicas(service),
        image=(service.get("source") or {}).get("image") or None,
        volume=mounts[0] if mounts else None,
    )


def replicas(service: Config) -> tuple[str, ...]:
    """The region of each wanted replica."""
    deploy = service.get("deploy") or {}
    if deploy.get("cronSchedule"):
        return (PREFERRED_REGION,)
    regions = deploy.get("multiRegionConfig") or {PREFERRED_REGION: {"numReplicas": deploy.get("numReplicas", 1)}}
    return tuple(
        region for region, wanted in regions.items() if wanted for _ in range(int(wanted.get("numReplicas") or 1))
    )


def _seconds(deploy: Config, key: str, variables: Mapping[str, str], variable: str, default: float) -> float:
    if deploy.get(key) is not None:
        return float(deploy[key])
    try:
        return max(float(variables.get(variable, default)), 0)
    except ValueError:
        return default


def runs_differently(before: Config, after: Config) -> bool:
    """Whether a commit from ``before`` to ``after`` needs a new deployment.

    Replica counts alone are scaled in place (Railway docs: scaling).
    """
    return _deployed(before) != _deployed(after)


def _deployed(service: Config) -> Config:
    deploy = {k: v for k, v in (service.get("deploy") or {}).items() if k not in ("multiRegionConfig", "numReplicas")}

    return {
        "source": service.get("source") or {},
        "build": service.get("build") or {},
        "deploy": deploy,
        "variables": service.get("variables") or {},
        "volumeMounts": service.get("volumeMounts") or {},
        "tcpProxies": (service.get("networking") or {}).get("tcpProxies") or {},
    }


def values(variables: Mapping[str, Any] | None) -> dict[str, str]:
    """Name → unrendered value of a ``variables`` map, sealed ones included."""
    return {name: str(entry.get("value") or "") for name, entry in (variables or {}).items() if entry is not None}
