"""What the report explains, in plain language."""

from __future__ import annotations

from zaehlwerk_tools.report.bilingual import Text, both

CHECK: Text = (
    (
        "Diese Seite zeigt nur, was am Ende über das Datennetz der Stadt (MQTT) angekommen ist. Jede Viertelstunde jedes "
        "Zählkanals wurde danach mit der Tabelle der Stadt verglichen."
    ),
    (
        "This page shows only what arrived over the city's data network (MQTT) in the end. Every quarter-hour of every "
        "channel was then compared with the city's table."
    ),
)
EXACT: Text = (
    "Alles stimmt: nichts ging verloren, nichts wurde doppelt gezählt, nichts steht in einer anderen Viertelstunde.",
    "All is right: nothing was lost, nothing counted twice, nothing put into another quarter-hour.",
)
NOT_EXACT: Text = (
    "Nicht alles stimmt: siehe die Zahlen hier und die Zählstellen mit dem Hinweis „weicht ab“.",
    'Not all is right: see the numbers here and the stations marked "deviates".',
)
NO_SOURCE: Text = ("Tabellen des Benutzers, ohne Quellenangabe.", "The user's tables, no source given.")
MADE_BY: Text = (
    "Gemacht von Zählwerk, Verkehrszählung. Diese Seite lädt nichts nach und merkt sich nichts über Sie.",
    "Made by Zählwerk, traffic counting. This page loads nothing and remembers nothing about you.",
)


def lead(stations: int) -> Text:
    """What this page is, in one sentence."""
    return (
        (
            f"So viel war an {stations} Zählstellen los. Die echten Viertelstundenwerte der Stadt liefen durch nachgebildete "
            "Zählgeräte, Funk und Server; hier steht, was ankam."
        ),
        (
            f"This is how much went on at {stations} stations. The city's real quarter-hour counts ran through simulated "
            "counters, radio and servers; this is what arrived."
        ),
    )


def explanation(counted: Text) -> str:
    """The section on what is counted, how, and what is not."""
    items: tuple[tuple[Text, Text], ...] = (
        (
            ("Was wird gezählt?", "What is counted?"),
            (
                (
                    f"{counted[0]}, die an einer Zählstelle vorbeikommen, getrennt nach Richtung. Ein Sensor gibt bei jeder "
                    "Durchfahrt einen kurzen Impuls, und alle 15 Minuten wird zusammengezählt."
                ),
                (
                    f"The number of {counted[1]} that pass a station, each direction on its own. A sensor gives a short "
                    "pulse at every passage, and every 15 minutes these are added up."
                ),
            ),
        ),
        (
            ("Was wird nicht erfasst?", "What is not recorded?"),
            (
                (
                    "Keine Bilder, keine Kennzeichen, keine Telefone, keine Namen. Wer vorbeikommt, ist eine Eins in einer "
                    "Summe und sonst nichts."
                ),
                "No images, no licence plates, no phones, no names. Whoever passes is a one in a sum and nothing else.",
            ),
        ),
        (
            ("Und wenn der Funk ausfällt?", "And when the radio fails?"),
            (
                (
                    "Jeder Funkspruch trägt den Zählerstand. Geht einer verloren, sagt der nächste trotzdem, wie viele es "
                    "waren. Was sich keiner Viertelstunde mehr zuordnen lässt, zeigen wir als Summe und erfinden nichts."
                ),
                (
                    "Every radio message carries the counter's reading. If one is lost, the next still tells how many there "
                    "were. What can no longer be put into a quarter-hour is shown as a sum; nothing is invented."
                ),
            ),
        ),
        (
            ("Null oder nichts gesehen?", "Zero, or nothing seen?"),
            (
                (
                    "Das ist ein Unterschied: Null heißt, es kam niemand. „Nicht beobachtet“ heißt, der Sensor konnte nicht "
                    "sehen; diese Zeit ist im Bild schraffiert."
                ),
                (
                    'That is a difference: zero means that nobody came. "Not observed" means that the sensor could not see; '
                    "that time is hatched in the picture."
                ),
            ),
        ),
    )
    boxes = "".join(
        f"<div><h3>{both(question)}</h3><p>{both(answer)}</p></div>" for question, answer in items
    )
    heading = both(("In einfachen Worten", "In plain words"))
    return f'<section aria-labelledby="plain"><h2 id="plain">{heading}</h2><div class="boxes">{boxes}</div></section>'
