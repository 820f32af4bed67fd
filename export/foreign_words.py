"""Words by which the language filter knows another language.

All in lower case; those of shops without accents, as careless sellers write them.
"""

from __future__ import annotations

# Articles, prepositions and conjunctions that neither English titles nor names of products have.
_FUNCTION_WORDS = """
    pour avec sans aux dans à para sin las una más com sem das uma für mit ohne und der dem zum zur
    gli della delle degli senza voor zonder het een och för med utan till av på til uden og dla bez
    od pentru cu fără şi și din için ve ile untuk dengan dari yang bagi
"""
# What shops say of skin, hair and care; brands use hardly any of it in English.
_FRENCH = """
    peau peaux cheveux levres ongles cils sourcils hydratant hydratante hydratation nettoyant
    nettoyante moussant moussante apaisant apaisante nourrissant nourrissante reparateur reparatrice
    demaquillant demaquillante purifiant purifiante fortifiant fortifiante raffermissant
    raffermissante protecteur protectrice lissant lissante demelant shampooing shampoing gommage
    soin soins savon huile brosse maquillage poudre paupieres vernis corps mains pieds douche rasage
    rasoir lingettes dissolvant coiffant antirides seche seches gras sensibles abimes boucles
    quotidien quotidienne emballage livraison gratuite
"""
_SPANISH = """
    piel pieles cabello cabellos pelo unas labios pestanas cejas ojos rostro cuerpo manos hidratante
    hidratacion limpiador limpiadora limpieza reparador reparadora reparacion nutritiva nutritivo
    suavizante regenerador regeneradora exfoliante desmaquillante maquillaje mascarilla champu jabon
    aceite esmalte desodorante acondicionador locion sombra sombras delineador rimel rizador rizos
    rizado cepillo peine tinte polvos rubor manicura afeitar afeitado cuidado diario tratamiento
    espuma toallitas seca secas graso grasa sensibles antiedad antiarrugas antimanchas arrugas caspa
    caida mujer noche lapiz frasco estuche envio nuevo
"""
_PORTUGUESE = """
    pele cabelo cabelos unhas labios olhos rosto corpo maos batom sabonete condicionador hidratacao
    maquiagem maquilhagem protetor desodorizante sobrancelha sobrancelhas cilios escova limpeza
    noturno noturna diurno oleo oleosa oleosas capilar capilares cacheados cachos ressecados secos
    tonico locao barbear antissinais rugas clareador masculino masculina feminino feminina lacrado
    frete embalagem pincel
"""
_ITALIAN = """
    pelle pelli capelli labbra unghie occhi ciglia sopracciglia viso piedi corpo doccia idratante
    rossetto bagnoschiuma detergente struccante smalto ombretto cipria fondotinta correttore matita
    spazzola pettine sapone balsamo siero antirughe rughe secchi secca grassi sensibili protezione
    solare deodorante dopobarba rasatura schiuma nutriente rinforzante delicato
    delicata notte giorno trucco confezione spedizione
"""
_GERMAN = """
    haut haare haar gesicht gesichtscreme gesichtsmaske gesichtswasser gesichtspflege augen
    augencreme augenbrauen augenbrauenstift lidschatten wimpern wimperntusche lippen lippenstift
    lippenpflege lippenbalsam nagellack nagellackentferner nagelpflege puder grundierung seife
    flussigseife duschgel duschbad badesalz haarol haarkur haarfarbe haarmaske haarspulung
    haarpflege haarburste spulung korper korperlotion korpermilch korperpflege handcreme fusscreme
    sonnencreme sonnenschutz sonnenmilch zahnpasta zahncreme rasierer rasierschaum rasiergel pinsel
    burste pflege feuchtigkeit feuchtigkeitscreme feuchtigkeitspflege reinigung reinigungsgel
    reinigungsmilch reinigungsschaum tagescreme nachtcreme trockene trockenes empfindliche fettiges
    damen herren duft entferner wasserfest versandkostenfrei
"""
_DUTCH = """
    huid huidverzorging haarverzorging haarolie haarmasker haarborstel haarlak gezicht gezichtscreme
    gezichtsmasker gezichtsreiniger gezichtsverzorging dagcreme nachtcreme handzeep zeep douchegel
    doucheschuim badschuim lippenbalsem oogschaduw oogpotlood oogcreme wimpers wenkbrauw
    wenkbrauwpotlood nagellak nagellakremover zonnebrand zonnecreme tandpasta scheerschuim
    scheermesjes borstel verzorging verzorgende hydraterende hydraterend voedende reinigingswater
    reinigingsgel reinigingsmelk micellair droge droog gevoelige vrouwen mannen heren nieuw
    verpakking verzending poeder vloeibare
"""
_NORDIC = """
    hudvard hudkram ansiktskram ansiktsmask ansiktsvatten handkram dagkram nattkram ogonskugga
    ogonkram ogonbrynspenna lappstift lappbalsam nagellack harinpackning harborste harolja schampo
    duschkram duschtval tval solskydd solkram tandkram rakskum rengoring rengoringsgel kroppslotion
    kroppskram kroppsolja flytande torr torrt kanslig ansikte smink hudpleje harpleje ansigtscreme
    ansigtsmaske ansigtsrens dagcreme natcreme neglelak tandpasta rensevand rensegel fugtighedscreme
    solcreme barberskum flydende ansiktskrem dagkrem nattkrem handkrem solkrem fuktighetskrem
    leppestift neglelakk tannkrem voide kasvovoide hoitoaine saippua suihkusaippua huulipuna
    kynsilakka ripsivari luomivari hiuslakka hiusoljy vartalovoide kasvonaamio puhdistusvesi
    puhdistusgeeli aurinkovoide deodorantti hajuvesi meikkivoide puuteri hammastahna kosteusvoide
    yovoide paivavoide kuiva kuivalle iho iholle hiukset hiuksille
"""
_SLAVIC = """
    krem kremy szampon odzywka maseczka mydlo pomadka szminka tusz lakier paznokci wlosow twarzy
    ciala dloni skory suchej wrazliwej prysznic prysznica perfumowana woda toaletowa mleczko
    micelarny kredka oczu rzes nawilzajacy nawilzajaca przeciwzmarszczkowy dezodorant pedzel
    szczotka podklad korektor damska meska sampon kondicioner rtenka nehty nehtu vlasy plet pletova
    pletovy telove telovy mleko sprchovy cistici parfemovana toaletni zubni opalovaci suchou
    citlivou rasenka stiny skora
"""
_OTHERS = """
    nemlendirici kremi sabun sabunu sampuan sampuani oje ruj maskara allik fondoten kapatici pudra
    parfumu cilt cildi yuz saclar tirnak dudak vucut jeli losyon losyonu temizleme temizleyici gunes
    bakim yagi serumu maskesi fircasi kuru hassas kadin erkek kalemi mandi krim pelembab pelembap
    wajah muka kulit rambut bibir kuku alis pensil bedak tabur lipstik sampo kondisioner minyak
    losion tubuh pembersih penghapus tabir pria wanita pencuci malam siang kering sensitif ongkir
    berminyak jerawat pewarna sikat hajbalzsam szappan tusfurdo ruzs koromlakk testapolo arckrem
    kezkrem napozo hidratalo arctisztito borapolo hajolaj szempillaspiral fogkrem szaraz ferfi sapun
    unghii piele maini hidratanta hidratant lotiune ulei micelara protectie demachianta demachiant
    creion ochi buze uscat deteriorat noapte
"""
# What words of care begin with in languages that write them as one: haarspray, ansiktskräm.
_STEMS = """
    haar haut gesicht lippen augen wimpern sonnen rasier feuchtigkeit reinigung nagel korper trocken
    huid gezicht oogschaduw wenkbrauw zonne scheer reiniging nagellak wimper hydrater
    ansikt kropps rengor rakskum ogonbryn lappst fuktighet ansigt fugtig neglel solcreme
    kasvo hius huuli kynsi vartalo puhdistus kosteus meikki silma luomi ripsi
    nawilz paznok wlos twarz szampon perfumow pletov telov sprchov
    nemlendir sampuan temizley pelembab pembersih membersih melembab
    hidratal arctiszt szempill hajbalzs
"""

FOREIGN_FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
FOREIGN_BEAUTY_WORDS = frozenset(
    word
    for language in (
        _FRENCH,
        _SPANISH,
        _PORTUGUESE,
        _ITALIAN,
        _GERMAN,
        _DUTCH,
        _NORDIC,
        _SLAVIC,
        _OTHERS,
    )
    for word in language.split()
)
FOREIGN_STEMS = tuple(_STEMS.split())
