"""What shops and their programs write where a product has no description."""

from __future__ import annotations

import re

from retrieval_server.text.accents import without_accents

LONGEST = 60  # characters; a longer text is a description, except for the printers' filler

_FILLER = "lorem ipsum"
_WORD = re.compile(r"[^\W_]+")
# The mark of databases for NULL, and the errors of spreadsheets.
_SYMBOLS = r"""
    \n #null! #div/0! #value! #ref! #name? #num! #nv #bezug! #wert! #zahl! #valeur! #nom? #nombre!
    #¡ref! #¡valor! #¿nombre? #¡num! #rif! #valore! #nome? #arg! #adr! #spill! #calc! #error!
"""
_WORDS = """
    n a, na, nan, nat, null, nul, nil, none, undefined, unknown, missing, empty, blank, void,
    no value, no data, no text, no content, no info, no information, no information available,
    no details, no details available, not available, not yet available, currently not available,
    unavailable, currently unavailable, not applicable, not specified, not provided, not defined,
    not set, not found, object object, loading,
    tbd, tba, tbc, to be announced, to be added, to be confirmed, to be completed, to be defined,
    to be determined, to be advised, to be updated, to do, todo, fixme, pending, under construction,
    coming soon, description coming soon, description coming shortly, content coming soon,
    details coming soon, more details coming soon, info coming soon, more info coming soon,
    information coming soon, more information coming soon, product description coming soon,
    full description coming soon, description to come, description to follow, description pending,
    description tbd, description tba, description tbc, description n a,
    no description, no description available, no description yet, no description provided,
    no description found, no description for this product, no description available yet,
    no product description, no product description available, no description is available,
    there is no description, there is no description available, without description,
    description not available, description is not available, description not yet available,
    description unavailable, description not provided, description not found, description missing,
    product description not available, missing description, empty description, null description,
    description, product description, item description, short description, long description,
    add description, add a description, add description here, add product description,
    add product description here, add your description, add your description here,
    enter description, enter description here, enter product description, insert description,
    insert description here, insert text here, your text here, your description here,
    description here, description goes here, product description goes here, text goes here,
    description placeholder, placeholder, placeholder text, dummy, dummy text, dummy description,
    sample text, sample description, test, test test, testing, test description, test product,
    test item, this is a test,

    k a, keine, keine angabe, keine angaben, keine beschreibung, keine beschreibung vorhanden,
    keine beschreibung verfügbar, keine produktbeschreibung, keine artikelbeschreibung,
    keine produktbeschreibung vorhanden, keine produktbeschreibung verfügbar, ohne beschreibung,
    noch keine beschreibung, noch keine beschreibung vorhanden, beschreibung nicht verfügbar,
    beschreibung nicht vorhanden, beschreibung fehlt, beschreibung folgt,
    beschreibung folgt in kürze, beschreibung in kürze, produktbeschreibung folgt,
    artikelbeschreibung folgt, text folgt, folgt, folgt in kürze, in kürze, in kürze verfügbar,
    in kürze erhältlich, demnächst, demnächst verfügbar, bald verfügbar, nicht verfügbar,
    nicht vorhanden, nicht angegeben, nicht definiert, nicht zutreffend, keine daten,
    keine information, keine informationen, keine informationen verfügbar, in bearbeitung,
    unbekannt, entfällt, leer, fehlt, platzhalter, produktbeschreibung, beschreibung,

    n d, nd, aucun, aucune, aucune description, aucune description disponible,
    aucune description du produit, pas de description, pas de description disponible,
    sans description, description à venir, description bientôt disponible,
    description indisponible, description non disponible, description manquante, à venir,
    bientôt disponible, prochainement, prochainement disponible, disponible prochainement,
    non disponible, indisponible, non renseigné, non renseignée, non spécifié, non spécifiée,
    non applicable, non communiqué, non défini, sans objet, aucune information,
    aucune information disponible, inconnu, inconnue, vide, à compléter, à définir, à déterminer,
    description du produit, en cours de rédaction,

    ninguno, ninguna, ninguna descripción, sin descripción, sin descripción disponible,
    no hay descripción, no hay descripción disponible, descripción no disponible, no disponible,
    próximamente, próximamente disponible, disponible próximamente, descripción próximamente,
    descripción pendiente, muy pronto, no aplica, no especificado, no definido, sin especificar,
    sin datos, sin información, desconocido, desconocida, vacío, pendiente, por definir,
    por determinar, por confirmar, a confirmar, descripción, descripción del producto,

    nessuno, nessuna, nessuna descrizione, nessuna descrizione disponibile, senza descrizione,
    descrizione non disponibile, descrizione non presente, non presente, non disponibile,
    descrizione in arrivo, in arrivo, prossimamente, disponibile a breve, a breve disponibile,
    non specificato, non definito, non applicabile, nessuna informazione, sconosciuto,
    sconosciuta, vuoto, da definire, da completare, descrizione, descrizione del prodotto,

    nenhum, nenhuma, nenhuma descrição, sem descrição, sem descrição disponível,
    descrição não disponível, descrição indisponível, não disponível, indisponível, em breve,
    brevemente, brevemente disponível, disponível em breve, descrição em breve, desconhecido,
    desconhecida, não especificado, não informado, não aplicável, não se aplica, não definido,
    sem informação, sem informações, sem dados, a definir, vazio, descrição, descrição do produto,

    geen, geen beschrijving, geen beschrijving beschikbaar, geen omschrijving,
    geen omschrijving beschikbaar, geen productbeschrijving, zonder beschrijving,
    beschrijving niet beschikbaar, beschrijving volgt, omschrijving volgt, volgt, volgt later,
    binnenkort, binnenkort beschikbaar, niet beschikbaar, niet van toepassing, n v t, nvt,
    niet opgegeven, niet bekend, nog niet bekend, nog niet beschikbaar, nader te bepalen,
    geen gegevens, geen informatie, geen informatie beschikbaar, onbekend, leeg, beschrijving,
    omschrijving, productbeschrijving, productomschrijving,

    brak, brak opisu, brak opisu produktu, brak danych, brak informacji, bez opisu, opis wkrótce,
    opis w przygotowaniu, opis niedostępny, w przygotowaniu, wkrótce, już wkrótce,
    wkrótce dostępny, wkrótce dostępne, niedostępny, niedostępna, niedostępne, nie dotyczy,
    nie podano, nieokreślony, nieznany, nieznana, nieznane, do uzupełnienia, opis, opis produktu,

    saknas, beskrivning saknas, ingen beskrivning, ingen beskrivning tillgänglig, ej tillgänglig,
    ej angivet, kommer snart, okänd, okänt, ingen beskrivelse, ingen beskrivelse tilgængelig,
    ingen beskrivelse tilgjengelig, beskrivelse mangler, ikke tilgængelig, ikke tilgjengelig,
    ikke angivet, ikke angitt, mangler, ukendt, ukjent, ingen, ei kuvausta, kuvaus puuttuu,
    ei saatavilla, ei tietoja, ei tiedossa, tulossa, tulossa pian, tuntematon,

    bez popisu, popis není k dispozici, popis nie je k dispozícii, žádný popis, žiadny popis,
    není k dispozici, nie je k dispozícii, připravujeme, pripravujeme, neuvedeno, neuvedené,
    již brzy, už brzy, neznámý, nincs, nincs leírás, nem elérhető, nincs megadva, hamarosan,
    ismeretlen, fără descriere, nicio descriere, nu este disponibil, indisponibil, în curând,
    nespecificat, necunoscut, nema opisa, uskoro, nije dostupno, няма описание, очаквайте скоро,

    yok, açıklama yok, açıklama bulunmamaktadır, ürün açıklaması yok, mevcut değil, yakında,
    çok yakında, bilinmiyor, belirtilmemiş, belirtilmedi, tidak ada, tidak ada deskripsi,
    tidak tersedia, belum ada deskripsi, segera hadir, tiada, tiada keterangan, không có,
    không có mô tả, chưa có mô tả, chưa có thông tin, đang cập nhật, sắp ra mắt,

    нет, нет описания, описания нет, без описания, описание отсутствует, отсутствует, нет данных,
    нет информации, недоступно, не указано, не указан, скоро, скоро в продаже, неизвестно,
    описание скоро появится, описание, описание товара, н д, немає, немає опису, без опису,
    опис відсутній, незабаром, невідомо, χωρίς περιγραφή, δεν υπάρχει περιγραφή, μη διαθέσιμο,
    σύντομα διαθέσιμο, σύντομα κοντά σας, άγνωστο,

    无, 無, 空, 暂无, 暫無, 没有, 沒有, 无描述, 無描述, 暂无描述, 暫無描述, 没有描述, 沒有描述,
    暂无说明, 暫無說明, 暂无介绍, 暫無介紹, 暂无简介, 暫無簡介, 暂无商品描述, 暂无产品描述,
    暂无信息, 暂无数据, 暫無資料, 无数据, 無資料, 未知, 不详, 不詳, 不明, 待定, 待补充, 待補充,
    待更新, 待完善, 未填写, 未填寫, 暂未提供, 不适用, 不適用, 敬请期待, 敬請期待, 即将推出,
    即將推出, 即将上市, 即將上市, 产品描述, 商品描述, 测试, 測試,

    なし, 無し, ナシ, 説明なし, 説明無し, 説明文なし, 商品説明なし, 説明はありません,
    商品説明はありません, 情報なし, データなし, 該当なし, 未定, 未設定, 未入力, 未登録, 準備中,
    ただいま準備中, 商品説明準備中, 近日公開, 近日発売, 近日登場, 商品説明, テスト,

    없음, 설명 없음, 설명없음, 상품 설명 없음, 상품설명 없음, 상품설명없음, 제품 설명 없음,
    설명이 없습니다, 정보 없음, 정보없음, 미정, 미입력, 준비중, 준비 중, 준비중입니다, 출시예정,
    출시 예정, 해당없음, 해당 없음, 해당사항 없음, 알 수 없음, 상품 설명, 테스트,

    غير متوفر, غير متاح, لا يوجد, لا يوجد وصف, بدون وصف, قريبا, غير معروف,
    אין, אין תיאור, ללא תיאור, לא זמין, בקרוב, לא ידוע,
    ไม่มี, ไม่มีคำอธิบาย, ไม่มีรายละเอียด, ไม่มีข้อมูล, เร็วๆ นี้,
    उपलब्ध नहीं, कोई विवरण नहीं, विवरण उपलब्ध नहीं
"""


def is_missing(text: str) -> bool:
    """Tell whether a text says nothing, or only that there is no description.

    It says nothing if it has no letter and no digit. Case, accents and punctuation of the words
    for a missing description do not matter: "(N/A)", "n.a." and "NA" are the same.
    """
    if text.isascii() and _begins_a_description(text):
        return False
    if len(text) > LONGEST:
        start = text.lstrip()
        return not start or start[: len(_FILLER)].casefold() == _FILLER or _has_no_word(text)
    words = _words(text)
    return (
        not words
        or words in _MISSING
        or words.startswith(_FILLER)
        or text.strip().casefold() in _MISSING_SYMBOLS
    )


def _begins_a_description(text: str) -> bool:
    """Tell by its first word of most ASCII texts that they stand for no missing one."""
    first = _WORD.search(text)
    return (
        first is not None
        and first[0].lower() not in _FIRST_WORDS
        and text.lstrip()[0] not in _FIRST_SYMBOLS
    )


def _has_no_word(text: str) -> bool:
    return _WORD.search(text) is None


def _words(text: str) -> str:
    """The words of a text in one spelling, with one space between two."""
    plain = text if text.isascii() else without_accents(text)
    return " ".join(_WORD.findall(plain.casefold()))


_MISSING = frozenset(_words(value) for value in _WORDS.split(","))
_MISSING_SYMBOLS = frozenset(_SYMBOLS.split())
_FIRST_WORDS = frozenset(words.partition(" ")[0] for words in (*_MISSING, _FILLER))
_FIRST_SYMBOLS = frozenset(symbol[0] for symbol in _MISSING_SYMBOLS)
