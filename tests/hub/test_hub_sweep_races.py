"""P1: a file that looked like a crash's leftover may have been recorded since: it is looked at again before it goes."""

from blake3 import blake3

from syncd.hub.folder_blobs import FolderBlobs
from syncd.hub.sqlite_reads import SqliteReads


def test_p1_an_upload_recorded_between_the_look_and_the_removal_keeps_its_file(world, one, monkeypatch):
    data = b"written long ago, recorded just now"
    digest = blake3(data).digest()
    (location,) = FolderBlobs(world.folder / "chunks", world.chance).write([(digest, data)])
    world.clock.at += 7200.0
    store, looked = world.hub.store, []
    write, look = store.write, SqliteReads.container_in_use

    def noticed(self, container):
        found = look(self, container)
        if container == location.container and not found and not looked:
            looked.append("not in use")
        return found

    def write_after_the_upload():
        if looked == ["not in use"]:
            looked.append("recorded")
            one.session.put_chunks([(digest, data)])
        return write()

    monkeypatch.setattr(FolderBlobs, "write", lambda self, blobs: [location for _ in blobs])  # it was written before
    monkeypatch.setattr(SqliteReads, "container_in_use", noticed)
    monkeypatch.setattr(store, "write", write_after_the_upload)
    world.hub.gc()
    monkeypatch.undo()
    assert looked == ["not in use", "recorded"]
    assert [found for _, found in one.session.get_chunks([digest])] == [data]
