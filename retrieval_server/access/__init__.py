"""Who may connect: certificates and bearer tokens, read again when their files change.

May import: errors, method_handlers.
Door: `TlsFiles`, `server_credentials`, `channel_credentials`, `BearerTokens`, `CallerNames`,
`current_caller`.
"""
