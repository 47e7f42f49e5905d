from kvmmu_edu.bench.meter import Figure, Meter, reference_loop


def test_the_best_turn_counts_and_only_the_work_is_measured():
    meter = Meter(quick=True)
    meter.turns = 3
    sizes = []

    def prepare():
        sizes.append(reference_loop(20_000))
        return lambda: reference_loop(1000)

    figure = meter.figure("loop", "the loop itself", prepare)
    assert len(sizes) == 3
    assert figure.seconds > 0
    assert figure.ratio == figure.seconds / meter.reference


def test_a_figure_is_for_one_operation():
    meter = Meter(quick=True)
    one = meter.figure("one", "", lambda: lambda: reference_loop(50_000))
    all_at_once = meter.figure("all", "", lambda: lambda: bool(reference_loop(50_000)))
    assert one.seconds < all_at_once.seconds


def test_rates_are_the_inverse_of_times():
    assert Figure("x", "", 0.25, 10).per_second == 4


def test_sizes():
    assert Meter(quick=True).size(1000, 10) == 10
    assert Meter(turns=1).size(1000, 10) == 1000


def test_sparing_leaves_the_meter_as_it_is():
    meter = Meter(turns=2)
    assert meter.sparing(1).turns == 1
    assert meter.sparing(5).turns == 2
    assert meter.turns == 2
