"""nono.sandbox.plan.facts: what the launcher found out, as the message it sends."""

import json

from nono.policy.ports import PortRange
from nono.sandbox.plan.facts import HostFacts, Listener, NamespaceFacts

WSL2 = HostFacts("6.6.87-microsoft", 3, Listener.BUSY, "seccomp user notification returns EBUSY", True, True)


def test_host_facts_survive_the_way_from_the_launcher() -> None:
    facts = WSL2._replace(namespaces=NamespaceFacts("unshare", max_user_namespaces=0, is_filtered=True))
    facts = facts._replace(chosen_ports=PortRange(32768, 60999))
    assert HostFacts.from_message(json.loads(json.dumps(facts.to_message()))) == facts
