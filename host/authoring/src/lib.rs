//! What an agent author needs: new, build, inspect.
