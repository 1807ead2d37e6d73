"""The command line. Only this part of the spine may import the stage packages, and only inside its commands."""
