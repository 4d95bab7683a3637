# Invitations in Polish. Every language has the same names; a test compares them.

subject = { $title }
subject-updated = Zmiana: { $title }
subject-cancelled = Odwołane: { $title }

invites = { $host } zaprasza na: { $title }
cancelled = { $host } odwołuje: { $title }
nothing-to-do = Numery z wcześniejszych zaproszeń już do niego nie prowadzą. Nie trzeba nic robić.

when-one-day = { $date }, od { $from } do { $to } ({ $zone })
when-two-days = { $date }, { $from }, do: { $date-to }, { $to } ({ $zone })
date = { $weekday }, { $day } { $month } { $year }

join-by-phone = Dołącz przez telefon
number = { $country }: { $number }
any-number = Zadzwoń pod numer podany przez gospodarza.
pin = PIN
code = Kod jednorazowy
one-tap = Jedno dotknięcie
one-tap-explained = Wybiera numer, a potem PIN i kod
call-from = Zadzwoń: { $number }

# The plain sentence on remembering.
remembered = Dzwoniąc pierwszy raz, wprowadź PIN, a potem kod jednorazowy. Twój numer telefonu zostanie zapamiętany: gdy znów z niego zadzwonisz, wejdziesz od razu.
forget = Telefon nie ma być zapamiętany? Naciśnij *9 w czasie rozmowy, a zostanie od razu zapomniany.
not-remembered = Na prośbę wprowadź PIN. To spotkanie nie zapamiętuje telefonu.
keep-private = Zachowaj to zaproszenie dla siebie: kto zna te numery, może dołączyć.

repeats-days = { $interval ->
    [1] Powtarza się codziennie
   *[other] Powtarza się co { $interval } dni
}
repeats-weeks = { $interval ->
    [1] Powtarza się co tydzień
    [few] Powtarza się co { $interval } tygodnie
   *[other] Powtarza się co { $interval } tygodni
}
repeats-months = { $interval ->
    [1] Powtarza się co miesiąc
    [few] Powtarza się co { $interval } miesiące
   *[other] Powtarza się co { $interval } miesięcy
}
repeats-years = { $interval ->
    [1] Powtarza się co rok
    [few] Powtarza się co { $interval } lata
   *[other] Powtarza się co { $interval } lat
}
on-weekdays = { $rule } ({ $days })
on-nth = { $rule } ({ $day }, { $nth ->
    [1] pierwszy
    [2] drugi
    [3] trzeci
    [4] czwarty
    [5] piąty
    [-1] ostatni
   *[other] { $nth } od końca
 } taki dzień)
on-calendar = { $rule }, w dniach podanych we wpisie kalendarza
ends-after = { $rule }, łącznie { $count ->
    [one] raz
   *[other] { $count } razy
 }.
ends-until = { $rule }, do: { $date }.
ends-never = { $rule }.
same-code = Za każdym razem obowiązują ten sam PIN i kod.

# What the host is told of phones that go straight in.
notice-remembered-subject = Zapamiętano nowy telefon
notice-remembered = Z telefonu { $number } podano PIN i kod jednorazowy spotkania „{ $title }”: { $date }, { $time } ({ $zone }). Telefon został zapamiętany: odtąd wchodzi od razu.
notice-remembered-undo = Nie znasz go? Usuń go z listy zweryfikowanych numerów i nadaj spotkaniu nowy kod.
notice-without-code-subject = Telefon dołączył bez kodu
notice-without-code = Telefon { $number } dołączył do spotkania „{ $title }” bez kodu jednorazowego, bo jest zapamiętany: { $date }, { $time } ({ $zone }).
notice-without-code-undo = Nie powinien? Usuń go ze spotkania i zapomnij. Możesz też wymagać kodu od zapamiętanych telefonów: „known_callers” spotkania albo konta.
notice-why = Piszemy, bo na Twoim koncie włączone jest „notice_mail”.

list = { $before }, { $item }
list-end = { $before } i { $item }

weekday-1 = poniedziałek
weekday-2 = wtorek
weekday-3 = środa
weekday-4 = czwartek
weekday-5 = piątek
weekday-6 = sobota
weekday-7 = niedziela
month-1 = stycznia
month-2 = lutego
month-3 = marca
month-4 = kwietnia
month-5 = maja
month-6 = czerwca
month-7 = lipca
month-8 = sierpnia
month-9 = września
month-10 = października
month-11 = listopada
month-12 = grudnia

country-AT = Austria
country-AU = Australia
country-BE = Belgia
country-BR = Brazylia
country-CA = Kanada
country-CH = Szwajcaria
country-CN = Chiny
country-CZ = Czechy
country-DE = Niemcy
country-DK = Dania
country-ES = Hiszpania
country-FI = Finlandia
country-FR = Francja
country-GB = Wielka Brytania
country-GR = Grecja
country-HK = Hongkong
country-HU = Węgry
country-IE = Irlandia
country-IL = Izrael
country-IN = Indie
country-IT = Włochy
country-JP = Japonia
country-KR = Korea Południowa
country-LU = Luksemburg
country-MX = Meksyk
country-NL = Holandia
country-NO = Norwegia
country-NZ = Nowa Zelandia
country-PL = Polska
country-PT = Portugalia
country-RO = Rumunia
country-SE = Szwecja
country-SG = Singapur
country-TR = Turcja
country-UA = Ukraina
country-US = Stany Zjednoczone
country-ZA = Republika Południowej Afryki
