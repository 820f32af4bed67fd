"""The output folder of a command, which it locks, and the manifest that says it is finished.

May import: the server's index, storage, errors.
Door: `output_folder`, `lock_folder`, `written_files`, `damaged_files`, `write_manifest`,
`read_manifest`.
"""
