"""The vocabulary of the synthetic world: topics, requests, wishes and sentences, each with the demand it makes.

In: nothing. Out: tuples of plain values. Numbers beside a phrase are demands (see world.DIMENSIONS): the grammar adds them
up, so a text carries its difficulty in many small places. Knows nothing of how phrases are put together.
"""

from __future__ import annotations

__all__ = ["AMBIGUOUS", "ANSWERS", "ASKS", "CLOSERS", "DETAILS", "EXPLICIT", "FACTS", "GREETINGS", "LANGUAGES", "NAMES", "PRODUCTS",
"SYMPTOMS",
           "TOPICS", "WISHES"]  # fmt: skip

#: Topic of support and documentation → how rare its knowledge is.
TOPICS: tuple[tuple[str, float], ...] = (
    ("pairing a new camera", 0.0), ("the monthly invoice", 0.0), ("resetting the hub", 0.0), ("a late parcel", 0.0),
    ("changing the payment card", 0.0), ("the mobile app's alerts", 0.1), ("the return of an opened box", 0.1), ("battery life", 0.1),
    ("the guest network", 0.2), ("firmware 4.2", 0.3), ("moving to the family plan", 0.2), ("exporting recordings", 0.3),
    ("the warranty after a repair", 0.5), ("two hubs on one account", 0.6), ("privacy zones", 0.5), ("the local API", 0.8),
    ("proration after a mid-cycle downgrade", 1.0), ("Thread border routers", 1.1), ("VAT on cross-border returns", 1.4),
    ("RTSP over a VLAN", 1.5), ("the data-processing addendum", 1.3), ("IPv6 prefix delegation", 1.7), ("ONVIF event relays", 1.8),
    ("certificate pinning on the legacy hub", 2.0),
)  # fmt: skip
PRODUCTS = ("Larkspur Hub", "Larkspur Cam 2", "Larkspur Cam Mini", "Larkspur Door", "Larkspur Mesh", "Larkspur Sense", "Larkspur Plug",
            "Larkspur Siren")  # fmt: skip
GREETINGS = ("Hello,", "Hi there,", "Good morning,", "Hi,", "Hello team,", "", "", "", "Dear support,", "Hey,")
SYMPTOMS = (
    "stopped working after the last update", "shows error {code} every few minutes", "does not come back after a power cut",
    "asks me to sign in again and again", "is charged twice since {month}", "cannot be found by the app", "was fine until {day}",
    "disconnects around {hour}:00 every night", "keeps blinking amber", "has not arrived although it was sent on {day}",
    "is listed under the wrong address", "works in one room only", "reports {pct} % battery for weeks", "was replaced once already",
)  # fmt: skip
DETAILS = (
    "My order number is {order}.", "The serial number ends in {serial}.", "I am on the {plan} plan.", "We are {n} people in the house.",
    "I already restarted everything twice.", "The app says version {version}.", "It sits about {n} metres from the router.",
    "Your colleague {name} told me to write again.", "I pay {money} EUR a month.", "The first device was bought in {month}.",
    "I use it together with a {product}.", "My internet provider changed in {month}.",
)  # fmt: skip
#: What somebody asks for → (steps, constraints, rare, ambiguous).
ASKS: tuple[tuple[str, float, float], ...] = (
    ("what should I do", 0.0, 0.0), ("how long does that take", 0.1, 0.0), ("is that covered", 0.2, 0.0), ("where do I find the setting",
    0.1, 0.0),
    ("can you confirm it", 0.0, 0.0), ("who do I have to contact", 0.1, 0.0), ("what does it cost", 0.1, 0.0), ("how do I switch it off",
    0.1, 0.0),
    ("explain why it happens", 0.5, 0.1), ("compare it with {product}", 0.9, 0.2), ("tell me which of the two is cheaper over {n} months",
    1.3, 0.0),
    ("work out the refund after the {pct} % restocking fee", 1.5, 0.1), ("list everything that changes on the next bill", 0.9, 0.2),
    ("check whether the {plan} plan would have avoided it", 1.1, 0.2), ("say in which order I should do it without losing recordings",
    1.3, 0.2),
    ("tell me what happens if I cancel before {day}", 0.9, 0.2), ("prorate the {money} EUR for the days that are left", 1.6, 0.1),
    ("decide whether a repair or a replacement makes sense", 1.2, 0.1), ("reconcile it with the two earlier invoices", 1.7, 0.2),
    ("find the contradiction between what I was told and your terms", 1.5, 0.4),
)  # fmt: skip
#: Wishes about the form of an answer → constraints.
WISHES: tuple[tuple[str, float], ...] = (
    ("Please be brief.", 0.1), ("A short answer is enough.", 0.1), ("Answer step by step.", 0.2), ("In at most {n}0 words, please.", 0.6),
    ("As a numbered list with exactly {n} points.", 0.7), ("Write it so that I can forward it to my landlord.", 0.6),
    ("Do not mention the discount.", 0.5), ("No links and no phone numbers.", 0.5), ("Give me a table with three columns.", 0.8),
    ("Start with the conclusion and end with the deadline.", 0.8), ("Use neither the word 'unfortunately' nor 'however'.", 1.0),
    ("First for a beginner, then for an electrician.", 0.9), ("Quote the clause you rely on.", 0.8), ("Every sentence under {n} words.",
    1.0),
)  # fmt: skip
EXPLICIT = (
    "That did not help with {topic}.", "Thank you, the light is green now, but about {topic}:", "One more question about {topic}.",
    "I did what you said about {topic}.", "The {product} is reachable again.", "For the {product} with serial {serial}:",
)  # fmt: skip
#: Follow-ups whose meaning lies elsewhere → ambiguous.
AMBIGUOUS: tuple[tuple[str, float], ...] = (
    ("And the other one?", 1.3), ("It still does that.", 0.8), ("Same as before, only the second time.", 1.2),
    ("Not that one, the one from earlier.", 1.5),
    ("What you said first, does it apply here too?", 1.3), ("They told me the opposite.", 0.9), ("Then why did it work last time?", 1.0),
    ("So which is it?", 1.1),
)  # fmt: skip
CLOSERS = ("", "", "Thanks!", "Thank you.", "Best, {name}", "Kind regards, {name}", "Thanks in advance.", "Sent from my phone")
NAMES = ("Ana", "Bruno", "Chidi", "Dora", "Emre", "Freya", "Goran", "Hana", "Ines", "Jonas", "Kaya", "Luca", "Mina", "Noor", "Olga",
"Pavel",
         "Quentin", "Rosa", "Sami", "Tara", "Uwe", "Vera", "Wim", "Xenia", "Yara", "Zoe")  # fmt: skip
#: Sentences of answers.
ANSWERS = (
    "Thank you for the details about {topic}.", "The {product} keeps its settings while you do this.",
    "Open the app and choose Devices, then {product}.",
    "Hold the button for {n} seconds until the light turns white.", "The change takes effect within {n} hours.",
    "Your plan covers this, so nothing is charged.", "According to section {n}.{n} of the terms, the period starts on delivery.",
    "If the light stays amber, repeat the last step once.", "I have checked the order and it left the warehouse on {day}.",
    "The difference on the next invoice is {money} EUR.", "Please keep the old device connected until the new one is listed.",
    "Recordings of the last {n} days stay available.", "This does not affect the other devices in the house.",
    "You will receive a confirmation by e-mail.", "The cause is usually a changed network name.",
    "A replacement is sent before the return arrives.",
    "For {topic}, the setting lies under Advanced.", "That option is part of the {plan} plan only.",
    "The earlier message referred to the previous version.",
    "Both amounts include tax.", "Two things are needed: the serial number and a photo of the label.",
    "After that, sign in again on every phone.",
    "The deadline is {n} days after delivery.", "In short: the first option is cheaper if you stay longer than {n} months.",
    "We do not store the password, so it has to be entered again.", "Let me know whether the light is green afterwards.",
)  # fmt: skip
#: Sentences of the documentation; each passage is a few of them about one topic.
FACTS = (
    "{topic} is handled by the {product} from version {version} on.", "Customers on the {plan} plan get {n} days, all others {m} days.",
    "The limit is {m} devices per hub and {n} hubs per account.", "A fee of {money} EUR applies after the first {n} requests in a month.",
    "Support may waive the fee once per calendar year.", "If the device was bought before {month}, the earlier terms apply.",
    "The setting is reset when the owner changes.", "Data is kept for {m} days and then removed within {n} hours.",
    "An exception exists for devices replaced under warranty.", "Error {code} means that the certificate has expired.",
    "The process has {n} steps, the last of which cannot be undone.", "The regional office in {city} decides about larger amounts.",
    "Requests about {topic} are answered within {n} working days.", "Refunds follow the payment method of the order.",
    "The {product} does not support this in combination with {product}.", "Section {n}.{m} replaces the notice of {month}.",
    "Administrators can turn it off for single users.", "It is measured from the first connection, not from the purchase.",
)  # fmt: skip
#: Other languages → (openings, asks with steps).
LANGUAGES: dict[str, tuple[tuple[str, ...], tuple[tuple[str, float], ...]]] = {
    "de": (
        ("Guten Tag, mein {product} zeigt seit {n} Tagen den Fehler {code}.",
        "Hallo, ich habe eine Frage zu meiner Rechnung über {money} EUR.",
         "Der {product} verbindet sich nicht mehr mit dem Netz."),
        (("Was soll ich tun?", 0.0), ("Wie lange dauert das?", 0.1), ("Bitte rechnen Sie mir die Erstattung nach Abzug von {pct} % vor.",
        1.4),
         ("Vergleichen Sie bitte beide Tarife über {n} Monate.", 1.2)),
    ),
    "fr": (
        ("Bonjour, mon {product} affiche l'erreur {code} depuis {n} jours.", "Bonjour, ma facture de {money} EUR me semble fausse.",
         "Le {product} ne se connecte plus au réseau."),
        (("Que dois-je faire ?", 0.0), ("Combien de temps cela prend-il ?", 0.1),
        ("Calculez le remboursement après déduction de {pct} %.", 1.4),
         ("Comparez les deux offres sur {n} mois.", 1.2)),
    ),
    "es": (
        ("Hola, mi {product} muestra el error {code} desde hace {n} días.", "Buenas, la factura de {money} EUR no coincide.",
         "El {product} ya no se conecta a la red."),
        (("¿Qué debo hacer?", 0.0), ("¿Cuánto tarda?", 0.1), ("Calcule el reembolso después de descontar el {pct} %.", 1.4),
         ("Compare los dos planes durante {n} meses.", 1.2)),
    ),
}  # fmt: skip
