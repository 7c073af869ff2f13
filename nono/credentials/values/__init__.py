"""What a credential is: references, shapes, injection, the tripwire. Pure."""
