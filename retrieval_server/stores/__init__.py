"""An index in a distributed engine, for catalogues beyond one machine.

The engine finds candidates; the ranking by eq. (8), its proof and the refinement are ours.

May import: changes, index, filters, attributes, exact_search, text, models, storage, access,
command_line, errors.
Door: `StoreAddress`, `StoreAccess`, `Milvus`, `StoredIndex`, `changed_store`, `Load`.
"""
