from kvmmu_edu.bench import lookups
from kvmmu_edu.bench.crowd import Crowd
from kvmmu_edu.bench.meter import Meter


def test_every_lookup_finds_the_slot(monkeypatch):
    crowd, found = Crowd(80), []
    over = lookups._over

    def noting(look_up, numbers):
        found.append([look_up(number) for number in numbers])
        return over(look_up, numbers)

    monkeypatch.setattr(lookups, "_over", noting)
    names = [figure.name for figure in lookups.lookups(Meter(quick=True), crowd)]
    assert names == ["lookups.gfn_tree.80", "lookups.hva_tree.80", "lookups.id_hash.80"]
    slots = crowd.memslots.slots_by_gfn()
    by_gfn, by_hva, by_id = found
    assert by_gfn == [node.owner for node in by_hva] == by_id == slots
