"""Memory and process limits: where a cgroup can be made, the cgroup itself, and which limit ended a run."""
