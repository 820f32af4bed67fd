import pytest

from retrieval_server.stores.address import StoreAddress


@pytest.mark.parametrize(
    ("text", "uri", "collection"),
    [
        ("milvus://localhost:19530/products", "http://localhost:19530", "products"),
        ("milvus://[::1]:19530/_p1", "http://[::1]:19530", "_p1"),
        ("milvus://milvus.search.svc:19530/P", "http://milvus.search.svc:19530", "P"),
        ("milvus-lite:store.db/products", "store.db", "products"),
        ("milvus-lite:/data/a b?/store.db/products", "/data/a b?/store.db", "products"),
    ],
)
def test_an_address_names_a_place_and_a_collection(text, uri, collection):
    address = StoreAddress.of(text)
    assert (address.uri, address.collection) == (uri, collection)
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is no address of a store"),
        ("localhost:19530/products", "is no address of a store"),
        ("http://localhost:19530/products", "is no address of a store"),
        ("milvus://localhost:19530", "names no collection"),
        ("milvus://localhost:19530/", "ends with the collection ''"),
        ("milvus://localhost/products", "'localhost' has no port"),
        ("milvus://localhost:0/products", "has no port from 1 to 65,535"),
        ("milvus://localhost:70000/products", "has no port from 1 to 65,535"),
        ("milvus:///products", "The address is empty"),
        ("milvus://user@host:1/products", "has a user before its host"),
        ("user:pass@host:1/products", "has a user before its host"),
        ("milvus://host:1/products?token=hidden", "has a ?, and perhaps a secret"),
        ("milvus://host:1?token=hidden/products", "has a ?, and perhaps a secret"),
        ("milvus+tls://host:1/products?token=hidden", "has a ?, and perhaps a secret"),
        ("host:1/products#hidden", "has a #, and perhaps a secret"),
        ("milvus-lite:store.db/products?token=hidden", "has a ?, and perhaps a secret"),
        ("milvus://unix:/run/milvus.sock/products", "has no HOST:PORT"),
        ("milvus://localhost:19530/db/products", "has no HOST:PORT"),
        ("milvus://localhost:19530/my-products", "takes letters, digits and underscores"),
        ("milvus://localhost:19530/1st", "no digit at the beginning"),
        ("milvus://localhost:19530/producté", "takes letters, digits and underscores"),
        ("milvus://localhost:19530/" + "p" * 201, "has a collection of 201 characters"),
        ("milvus-lite:/products", "names no file that ends with .db"),
        ("milvus-lite:store/products", "names no file that ends with .db"),
        ("milvus-lite:.db/products", "names no file that ends with .db"),
        ("milvus-lite:store.db", "names no collection"),
    ],
)
def test_what_is_no_address_is_refused_in_one_line(text, problem):
    with pytest.raises(ValueError, match=r".") as caught:
        StoreAddress.of(text)
    assert problem in str(caught.value)
    for hidden in ("\n", "hidden", "pass@"):
        assert hidden not in str(caught.value)
