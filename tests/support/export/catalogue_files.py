"""Small catalogues and ground truths as files, one for each format."""

import io

import pyarrow as pa
import pyarrow.parquet as pq

CSV = 'id,image,description\n1,a.jpg,"x ""y"" z"\n2,b.jpg,é\n'.encode()
JSONL = b'{"id": 1.0, "image": "a.jpg", "description": NaN, "x": [1, {"y": null}]}\n'
MATCHES = b"query_image,ids\nq.jpg,1 2\nr.jpg,3;4\n"
CHALLENGE = b"Validation Image ID,Training Image ID\nq1,n1,n2\n"


def parquet() -> bytes:
    columns = {
        "id": ["1", "2"],
        "image": [b"a", b"b"],
        "description": pa.array(["x", None]).dictionary_encode(),
        "at": pa.array([1, 2], pa.timestamp("ns")),
        "sizes": [[1], None],
    }
    data = io.BytesIO()
    pq.write_table(pa.table(columns), data)
    return data.getvalue()
