// The message between Python and the painter, as types; see ../README.md. For checks only.

type Cell = { t: string; s?: string; cls: string; box: number[]; more?: string[] };
type Content = { h?: number; cls: string; title: string; sub?: string; badge?: string; cells?: Cell[] };
type Edge = { d: string; tip?: number[]; label?: string; at?: number[] };
type Layout = {
  w: number;
  h: number;
  nodes: Record<string, number[]>;
  edges?: Record<string, Edge>;
  groups?: Record<string, { box: number[]; label?: string }>;
};
type Operation = { n: number; text: string; first: number; last: number };
type Source = {
  module: string;
  function: string;
  head?: string;
  summary?: string;
  start: number;
  lines: string[];
  kernel?: { function: string; file: string; version: string; url?: string } | null;
};
type Step = {
  layout: number;
  nodes?: Record<string, number | null>;
  edges?: Record<string, string | null>;
  marks?: string[];
  text: string;
  short?: string;
  event?: string;
  ftrace?: string;
  op?: number | null;
  task?: string;
  locks?: Record<string, string | null>;
  counters?: Record<string, [number, number]>;
  source?: number | null;
  line?: number;
  checks?: Record<string, boolean>;
};
type Message = {
  v: number;
  title: string;
  layouts: Layout[];
  contents: Content[];
  ops?: Operation[];
  sources?: Source[];
  counters?: string[];
  legend?: { cls: string; text: string }[];
  hatches?: Record<string, string>;
  steps: Step[];
};

type MountOptions = { step?: number; onStep?: (step: number) => void };

type Model = {
  get(name: string): any;
  set(name: string, value: unknown): void;
  save_changes(): void;
  on(name: string, act: (...values: any[]) => void): void;
  off(name: string, act: (...values: any[]) => void): void;
  send(content: unknown): void;
};
