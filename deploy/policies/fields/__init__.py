"""Fields: what each kind of object may say, one file a kind in ``schemas/``; the rest is refused.

A file of ``schemas/`` looks like the objects that it describes, with what each field may be in
place of its value:

- ``field?``: the field may be absent; each other field has to be there.
- ``a | b``: one of these values. A value without alternatives is the only one.
- ``5..60``, ``16Mi..1Gi``, ``30s..5m``: from here to there, numbers, quantities or durations.
- ``<name>``: a value of this type, see ``values.TYPES``, or what ``schemas/name.yaml`` describes.
- ``[a, b]``: a list with at least one item, each of which is one of these.
- ``also: name``: the fields of ``schemas/name.yaml`` too.
- ``<type>: value``: any further field whose name is of this type.

Imports ``rendering``, and ``containers`` for the commands. Door: ``fields_that_are_named`` and
``problems_of``.
"""

from deploy.policies.fields.kinds import fields_that_are_named, problems_of

__all__ = ["fields_that_are_named", "problems_of"]
