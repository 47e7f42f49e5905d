from kvmmu_edu.bench import translations
from kvmmu_edu.bench.meter import Meter


def test_nothing_faults_once_everything_is_mapped(monkeypatch):
    made = []
    guest = translations.guest
    monkeypatch.setattr(translations, "guest", lambda *args: made.append(guest(*args)) or made[-1])
    figures = translations.translations(Meter(quick=True))
    first = next(figures)
    faults = made[0].stats["pf_taken"]
    names = [first.name, *(figure.name for figure in figures)]
    assert names == ["translations.read", "translations.run", "translations.walk"]
    assert made[0].stats["pf_taken"] == faults == 32


def test_walks_begin_with_an_empty_tlb():
    vcpu = translations.guest(4)
    assert vcpu.state.arch.cpu.tlb.snapshot()
    translations._flushed(vcpu, lambda: 1)
    assert not vcpu.state.arch.cpu.tlb.snapshot()
