"""nono-py's proxy, and a command beside it that is told of it.

Usage: nono_py_proxy.py PORT CA_DIR CA_FILE HOST NAME=URL... -- COMMAND...; the services' keys are
<NAME>_KEY. CA_DIR: where it keeps the authority that clients trust.
"""

import os
import subprocess
import sys

import nono_py  # type: ignore[import-not-found]  # lives in .bench only


def main() -> int:
    split = sys.argv.index("--")
    port, ca_dir, ca_file, host, *services = sys.argv[1:split]
    routes = []
    for service in services:
        name, _, url = service.partition("=")
        routes.append(
            nono_py.RouteConfig(
                prefix=name.lower(),
                upstream=url,
                credential_key=f"env://{name}_KEY",
                env_var=f"{name}_KEY",
                tls_ca=ca_file,
            )
        )
    config = nono_py.ProxyConfig(
        allowed_hosts=[host], routes=routes, bind_port=int(port), intercept_ca_dir=ca_dir
    )
    proxy = nono_py.start_proxy(config)
    environ = os.environ | proxy.env_vars() | proxy.credential_env_vars()
    status = subprocess.call(sys.argv[split + 1 :], env=environ)
    proxy.shutdown()
    return status


if __name__ == "__main__":
    sys.exit(main())
