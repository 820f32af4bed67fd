"""The method, section 2.3: encode a query, rank by eq. (8), refine by Algorithm 1.

May import: engines, index, exact_search, text. Knows neither gRPC nor Prometheus. Door:
`Retriever.search`.
"""
