"""From events to scenes, one module for each thing that can be seen."""

from typing import Final

from kvmmu_widgets.views.page_table_scenes import PageTableScenes

#: what can be drawn
VIEWS: Final = {"tables": PageTableScenes}
