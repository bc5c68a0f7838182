"""Documents that several tests read."""

REFERENCE = """
key: product-launch
name: Product launch announcement
time_zone: Europe/Paris
entry:
  segment: most-valuable-customers
  exclude: [employees]
  namespace: email
  frequency: once
  schedule:
    start: {after_publish: PT1H}
  rate: 500/s
steps:
  - {id: announce, type: send_email, message: product-announcement, to: email}
  - {id: interested, type: wait_for_click, sent_by: announce, link: product-details, within: P1D,
     on_click: launch-day, on_timeout: exit}
  - {id: launch-day, type: wait_until, at: 2026-12-10T09:00}
  - {id: launched, type: send_sms, message: product-launched, to: phone}
"""

EVERY_STEP = """
key: every-step
name: One of each
description: Every step type, with every field.
time_zone: Australia/Lord_Howe
entry:
  segment: customers
  exclude: [employees, testers]
  namespace: email
  frequency: repeating
  schedule:
    start: {at: 2026-12-01T09:00}
    every: week
    on: [mon, thu]
    at: 10:30
    until: 2027-12-01T00:00Z
  rate: 1/s
steps:
  - {id: announce, type: send_email, message: news, to: email, next: pause, on_failure: text, delivery: at_least_once,
     retries: 0, once_per_address: journey}
  - {id: pause, type: wait, for: PT90M, since: entry, next: clicked}
  - {id: clicked, type: wait_for_click, sent_by: announce, link: details, within: P1D, copy: latest, on_click: text,
     on_timeout: bought}
  - {id: bought, type: wait_for_event, event: purchase, within: P2W, since: entry, on_event: mark, on_timeout: choice,
     where: [{attribute: amount, op: gte, value: 100}, {attribute: item, op: in, value: [a, 1, true]},
             {attribute: order, op: eq, value: {property: order.id}}]}
  - {id: mark, type: update_profile, set: {bought: true, basket: null, "last order": {n: [1, 2.5, "x"]}},
     set_from: {"order id": {property: order.id}}, next: due}
  - {id: due, type: wait_until, attribute: plan.renewal, offset: -P3D, on_missing: leave, next: text}
  - {id: leave, type: wait_until, property: flight.departs_at, offset: -P1D, on_missing: text, next: text}
  - id: choice
    type: if
    cases:
      - when: {all: [{attribute: plan.name, op: eq, value: gold}, {segment: vips}, {event: visit, within: P7D}]}
        next: text
      - when: {any: [{not: {attribute: born, op: before, value: {ago: P6570D}}},
                     {attribute: due, op: after, value: 2026-12-10}, {property: order.total, op: gte, value: 100},
                     {attribute: x, op: exists, value: false}]}
        next: launch
    else: out
  - {id: launch, type: wait_until, at: 2026-12-10T09:00:30+10:30, next: text}
  - {id: text, type: send_sms, message: ping, to: phone, next: exit}
  - {id: out, type: exit, reason: not-interested}
"""
