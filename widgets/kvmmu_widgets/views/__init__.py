"""From events to scenes, one module for each thing that can be seen."""
