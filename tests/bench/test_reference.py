from kvmmu_edu.bench.reference import loop_rate, seconds


def test_seconds_and_rates_are_positive():
    assert seconds(lambda: sum(range(1000))) > 0
    assert loop_rate() > 1000
