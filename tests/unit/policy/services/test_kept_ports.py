"""The ports of this machine where only the port says who gets a key, or who answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nono.errors import ConfigError
from nono.policy.ports import KeptPort
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import ApprovalBackendEntry, Meta, Network, Profile, Security
from nono.policy.schema.route_rules import AwsAuth, OAuth2Client
from nono.policy.schema.routes import CustomCredential, UpstreamProxyEntry
from unit.policy.conftest import HOME, MakeFilesystem

Resolve = Callable[..., Resolved]
CLIENT = OAuth2Client("https://id.example/token", "env://ID", "env://SECRET")
OWN = CustomCredential(upstream="https://api.example", credential_key="own")


def of_service(**fields: object) -> Profile:
    service = OWN._replace(**fields)  # type: ignore[arg-type]  # as each case names them
    return Profile(meta=Meta(name="web"), network=Network(custom_credentials={"own": service}))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_the_port_of_a_service_of_this_machine_is_kept_unless_a_certificate_proves_it(
    run: Resolve, host: str
) -> None:
    kept = run(of_service(upstream=f"http://{host}:4000/v1"), credential=("own",)).capabilities.kept_ports
    assert kept == (KeptPort(4000, "sends the key of 'own'"),)
    assert run(of_service(upstream=f"https://{host}:4000"), credential=("own",)).capabilities.kept_ports == ()
    assert run(of_service(upstream=f"http://{host}:4000")).capabilities.kept_ports == ()


def test_so_is_the_port_at_which_a_service_gets_its_tokens(run: Resolve) -> None:
    fields = {"credential_key": None, "env_var": "OWN_KEY", "auth": CLIENT}
    assert run(of_service(**fields), credential=("own",)).capabilities.kept_ports == ()
    fields["auth"] = CLIENT._replace(token_url="http://127.0.0.1:5000/token")
    [kept] = run(of_service(**fields), credential=("own",)).capabilities.kept_ports
    assert kept.port == 5000


@pytest.mark.parametrize(
    ("address", "auth", "is_kept"),
    [
        ("127.0.0.1:3128", "env://PASSWORD", True),
        ("localhost:3128", "env://PASSWORD", True),
        ("0.0.0.0:3128", "env://PASSWORD", True),
        ("127.0.0.1:3128", None, False),  # it is sent nothing that a certificate does not protect
        ("192.0.2.1:3128", "env://PASSWORD", False),
    ],
)
def test_so_is_the_port_of_an_upstream_proxy_that_is_sent_a_password(
    run: Resolve, address: str, auth: str | None, is_kept: bool
) -> None:
    network = Network(allow_domain=("a.example",), upstream_proxy=UpstreamProxyEntry(address, auth))
    kept = run(Profile(meta=Meta(name="web"), network=network)).capabilities.kept_ports
    assert kept == ((KeptPort(3128, "sends the password of its upstream proxy"),) if is_kept else ())


@pytest.mark.parametrize(("scheme", "is_kept"), [("http", True), ("https", False)])
def test_so_is_the_port_of_a_webhook_that_answers_for_a_person(
    run: Resolve, scheme: str, is_kept: bool
) -> None:
    backends = {"phone": ApprovalBackendEntry(type="webhook", url=f"{scheme}://127.0.0.1:9000/ask")}
    asking = Profile(meta=Meta(name="web"), security=Security(approval_backends=backends))
    kept = run(asking, block_net=True, capability_elevation=True).capabilities.kept_ports
    assert kept == ((KeptPort(9000, "asks the webhook 'phone' for approval"),) if is_kept else ())


AWS = of_service(
    credential_key=None, upstream="https://bedrock-runtime.eu-west-1.amazonaws.com", aws_auth=AwsAuth()
)
AWS_CONFIG = """\
[profile work]
ec2_metadata_service_endpoint = http://127.0.0.1:1
credential_source = Ec2InstanceMetadata
[profile away]
endpoint_url: http://localhost:2
services = here
[services here]
s3 =
  endpoint_url = http://localhost:3
sts =
  endpoint_url = http://localhost:4
  # endpoint_url = http://localhost:5
[profile remote]
endpoint_url = https://localhost:6
endpoint_url = http://192.0.2.1:7
endpoint_url = http://[
endpoint_url
"""


@pytest.mark.parametrize(
    "variable",
    ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_ENDPOINT_URL_STS"],
)
def test_so_is_the_port_where_aws_keys_are_asked_for(run: Resolve, variable: str) -> None:
    here = {variable: "http://localhost:9911/keys"}
    kept = run(AWS, here, credential=("own",)).capabilities.kept_ports
    assert kept == (KeptPort(9911, "asks for the AWS keys of 'own'"),)
    for url in ("https://localhost:9911", "http://169.254.170.2/keys", ""):
        assert run(AWS, {variable: url}, credential=("own",)).capabilities.kept_ports == ()
    assert run(of_service(), here, credential=("own",)).capabilities.kept_ports == ()


@pytest.mark.parametrize("variable", ["http_proxy", "HTTPS_PROXY", "all_proxy"])
def test_so_is_that_of_a_proxy_by_way_of_which_they_are_asked_for(run: Resolve, variable: str) -> None:
    for url, ports in (("http://ann:secret@localhost:3128", [3128]), ("http://proxy.example:3128", [])):
        environ = {variable: url}
        kept = run(AWS, environ, credential=("own",)).capabilities.kept_ports
        assert [each.port for each in kept] == ports
        assert run(of_service(), environ, credential=("own",)).capabilities.kept_ports == ()


@pytest.mark.parametrize("is_named", [False, True])
def test_the_configuration_of_botocore_says_so_too(
    run: Resolve, make_fs: MakeFilesystem, is_named: bool
) -> None:
    path = f"{HOME}/aws/settings" if is_named else f"{HOME}/.aws/config"
    fs = make_fs(
        files=(f"{HOME}/dotfiles/aws",),
        links={path: f"{HOME}/dotfiles/aws"},
        texts={f"{HOME}/dotfiles/aws": AWS_CONFIG},
    )
    environ = {"AWS_CONFIG_FILE": "~/aws/settings"} if is_named else {}
    kept = run(AWS, environ, fs, credential=("own",)).capabilities.kept_ports
    assert sorted(each.port for each in kept) == [1, 2, 4]


@pytest.mark.parametrize(("listen", "is_refused"), [(3999, False), (4000, True), (4001, False)])
def test_a_kept_port_is_not_granted_for_listening(run: Resolve, listen: int, is_refused: bool) -> None:
    wishes = {"credential": ("groq=http://127.0.0.1:4000",), "listen_port": (listen,)}
    if not is_refused:
        assert run(**wishes).capabilities.kept_ports
        return
    with pytest.raises(
        ConfigError, match="listen on port 4000 of this machine, where nono sends the key of 'groq'"
    ):
        run(**wishes)
