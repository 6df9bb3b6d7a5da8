"""The table of bench/limits: what was predicted, what was measured, and how far apart they are."""
from dataclasses import dataclass
from statistics import median

FEW = 100  # below so many major faults a relative error says nothing: faults are compared


def brackets(values):
    return f"{median(values):,.0f} ({min(values):,}–{max(values):,})"


@dataclass
class Row:
    name: str
    kind: str
    limit: int
    predicted: list  # one for each moment; None: killed
    measured: list  # one for each run; None: killed

    def values(self, which, key):
        return [one[key] for one in getattr(self, which) if one is not None]

    def both(self, key):
        return self.values("predicted", key), self.values("measured", key)

    def compared(self):
        """Whether there is a run on both sides that was not killed."""
        return all(self.both("major_faults"))

    def error(self, key):
        predicted, measured = map(median, self.both(key))
        return (predicted - measured) / max(measured, 1) * 100

    def faults_off(self):
        predicted, measured = map(median, self.both("major_faults"))
        return predicted - measured

    def few(self):
        predicted, measured = map(median, self.both("major_faults"))
        return max(predicted, measured) < FEW

    def inside(self):
        predicted, measured = self.both("major_faults")
        return min(measured) <= median(predicted) <= max(measured)

    def meets(self):
        predicted, measured = self.both("major_faults")
        return min(predicted) <= max(measured) and min(measured) <= max(predicted)

    def side(self, which, key):
        found = self.values(which, key)
        killed = getattr(self, which).count(None)
        text = brackets(found) if found else ""
        return text + (f"{' and ' if text else ''}killed {killed}×" if killed else "")

    def text(self):
        cells = [f"{self.name} ({self.kind})", f"{self.limit >> 20} MiB", self.side("predicted", "major_faults"), self.side("measured", "major_faults")]
        if self.compared():
            cells += [f"{self.faults_off():+.0f} faults" if self.few() else f"{self.error('major_faults'):+.1f} %", "inside" if self.inside() else "meets" if self.meets() else "",
                      f"{median(self.values('predicted', 'minor_faults')):,.0f}, {median(self.values('measured', 'minor_faults')):,.0f}", f"{self.error('minor_faults'):+.1f} %"]
        else:
            cells += [""] * 4
        return "| " + " | ".join(cells) + " |"


def say_rows(rows):
    return "\n".join(["| program | limit | major, predicted | major, measured | error | | minor: predicted, measured | error |", "|---|---|---|---|---|---|---|---|"] +
                     [row.text() for row in rows])


def say_kind(name, rows):
    compared = [row for row in rows if row.compared()]
    many = [abs(row.error("major_faults")) for row in compared if not row.few()]
    few = [abs(row.faults_off()) for row in compared if row.few()]
    minor = [abs(row.error("minor_faults")) for row in compared]
    text = f"**{name}**: {len(rows)} rows"
    if many:
        text += f"; major faults {median(many):.1f} % median, {max(many):.1f} % worst, {sum(one > 15 for one in many)} above 15 %"
    if few:
        text += f"; {len(few)} with fewer than {FEW} major faults, at most {max(few):.0f} faults off"
    if minor:
        text += f"; minor faults {median(minor):.1f} % median, {max(minor):.1f} % worst, {sum(one > 5 for one in minor)} above 5 %"
    text += f"; {sum(row.inside() for row in compared)} inside the kernel's own spread, {sum(row.meets() for row in compared)} meet it"
    kills = [row for row in rows if None in row.predicted or None in row.measured]
    if kills:
        text += f"; the OOM killer appears in {len(kills)}: on both sides in {sum(None in row.predicted and None in row.measured for row in kills)}"
    return text


def say_summary(rows):
    kinds = [(kind, [row for row in rows if row.kind == kind]) for kind in ("tuning", "checking")]
    return "\n\n".join(say_kind(name, found) for name, found in [*kinds, ("all", rows)] if found)
